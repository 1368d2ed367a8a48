"""Draws the report of a run, of several beside each other, or of a study.

python -m starter.report runs/demo
python -m starter.report runs/a runs/b --out runs/a_or_b
python -m starter.report runs/studies/margins
"""

import argparse
import sys
from pathlib import Path

from starter.cli import command, words
from starter.report.compare import compare
from starter.report.figures import Measured
from starter.report.page import write
from starter.report.read import open_run
from starter.report.study import draw_study
from starter.report.study_read import is_study


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m starter.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="the folder of a run, e.g. runs/demo, or of a study")
    add("--out", metavar="FOLDER", help="for the comparison (default: comparison beside the first)")
    add("--json", action="store_true", help="print the paths of the pages as JSON")
    options = parser.parse_args(arguments)
    return command.run(lambda: words.show(draw(options.runs, options.out), "\n".join, options.json))


def draw(folders: list[str], out: str | None = None) -> list[str]:
    """Every run's and study's own page, and the comparison of several runs; their paths."""
    pages = [draw_study(folder)[0] for folder in folders if is_study(folder)]
    runs = [open_run(folder) for folder in folders if not is_study(folder)]
    measured = [Measured(run) for run in runs]
    pages += [write(run, curves) for run, curves in zip(runs, measured, strict=True)]
    if len(runs) > 1:
        pages.append(
            compare(runs, measured, Path(out) if out else runs[0].path.parent / "comparison")
        )
    return [path.as_posix() for path in pages]


if __name__ == "__main__":
    sys.exit(main())
