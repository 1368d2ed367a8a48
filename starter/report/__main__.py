"""Draws the report of a run, or of several beside each other.

    python -m starter.report runs/demo
    python -m starter.report runs/a runs/b --out runs/a_or_b
"""

import argparse
import json
import sys
from pathlib import Path

from starter.recipe import UserError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m starter.report",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run folder, e.g. runs/demo")
    told = "of the comparison; else `comparison` beside the first run"
    parser.add_argument("--out", metavar="FOLDER", help=told)
    parser.add_argument("--json", action="store_true", help="print the pages' paths as JSON")
    options = parser.parse_args(arguments)
    try:
        pages = draw(options.runs, options.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(json.dumps(pages) if options.json else "\n".join(pages))
    return 0


def draw(runs: list[str], out: str | None = None) -> list[str]:
    """Every run's own page, and the comparison of several; their paths."""
    from starter.report.compare import compare
    from starter.report.figures import Measured
    from starter.report.read import open_run
    from starter.report.write import write

    found = [open_run(run) for run in runs]
    measured = [Measured(run) for run in found]
    pages = [write(run, measured=one) for run, one in zip(found, measured, strict=True)]
    if len(found) > 1:
        place = Path(out) if out else found[0].path.resolve().parent / "comparison"
        pages.append(compare(found, measured, place))
    return [path.as_posix() for path in pages]


if __name__ == "__main__":
    sys.exit(main())
