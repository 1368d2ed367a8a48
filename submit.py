"""Check a submission file and send it to Kaggle.

    python submit.py runs/demo --dry-run
    python submit.py runs/hw2p2 --message "resnet50, arcface"
    python submit.py my.csv --sample sample_submission.csv --competition SLUG
"""

import argparse
import json
import sys

from starter import door


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=door.EXIT_CODES,
    )
    parser.add_argument("target", metavar="RUN|CSV", help="a run folder or a csv file")
    parser.add_argument("--dry-run", action="store_true", help="check only")
    parser.add_argument("--sample", metavar="FILE", help="sample submission to check against")
    parser.add_argument("--competition", metavar="SLUG", help="over submission.competition")
    parser.add_argument("--message", help="shown beside the submission on Kaggle")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)

    def work() -> None:
        door.set_up_logging()
        from starter.workflow import submit

        result = submit(
            options.target,
            dry_run=options.dry_run,
            competition=options.competition,
            sample=options.sample,
            message=options.message,
        )
        print(json.dumps(result, indent=1) if options.json else text(result))

    return door.run(work)


def text(result: dict) -> str:
    """What was checked, and what Kaggle said."""
    against = f"as {result['sample']} asks" if result["sample"] else "readable, nothing missing"
    lines = [f"{result['csv']}: {against}", *(f"warning: {w}" for w in result["warnings"])]
    if "reference" in result:
        lines.append(f"{result['competition']}: {result['message']} (ref {result['reference']})")
    else:
        lines.append("dry run: nothing was sent")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
