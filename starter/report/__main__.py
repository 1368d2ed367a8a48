"""Draws the report of a run, of several beside each other, or of a study.

python -m starter.report runs/demo
python -m starter.report runs/a runs/b --out runs/a_or_b
python -m starter.report runs/studies/margins
"""

import argparse
import sys
from pathlib import Path

from starter.cli import command, words


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m starter.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    told = "a run's folder, e.g. runs/demo, or a study's"
    parser.add_argument("runs", nargs="+", metavar="RUN", help=told)
    told = "of the comparison; else `comparison` beside the first run"
    parser.add_argument("--out", metavar="FOLDER", help=told)
    parser.add_argument("--json", action="store_true", help="print the pages' paths as JSON")
    options = parser.parse_args(arguments)
    return command.run(lambda: words.show(draw(options.runs, options.out), "\n".join, options.json))


def draw(runs: list[str], out: str | None = None) -> list[str]:
    """Every run's and study's own page, and the comparison of several runs; their paths."""
    from starter.report.compare import compare
    from starter.report.figures import Measured
    from starter.report.read import open_run
    from starter.report.study import draw_study
    from starter.report.study_read import ROWS, STUDY
    from starter.report.write import write

    studies = [run for run in runs if any((Path(run) / n).is_file() for n in (STUDY, ROWS))]
    drawn = [draw_study(study)[0] for study in studies]
    found = [open_run(run) for run in runs if run not in studies]
    measured = [Measured(run) for run in found]
    pages = [write(run, measured=one) for run, one in zip(found, measured, strict=True)]
    if len(found) > 1:
        place = Path(out) if out else found[0].path.resolve().parent / "comparison"
        pages.append(compare(found, measured, place))
    return [path.as_posix() for path in [*drawn, *pages]]


if __name__ == "__main__":
    sys.exit(main())
