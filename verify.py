"""Score a run's verification pairs and write its submission; combine runs; compare two pictures.

python verify.py runs/demo
python verify.py runs/hw2p2 submission.sample=sample_submission.csv verify.tta=[hflip]
python verify.py runs/a runs/b --out runs/ab --fusion weighted
python verify.py runs/demo --pair a.jpg b.jpg
"""

import argparse
import sys
from pathlib import Path

from starter.cli import command, logs, words


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=command.EXIT_CODES,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, e.g. runs/demo")
    parser.add_argument("changes", nargs="*", metavar="key=value", help="over each run's recipe")
    parser.add_argument("--out", metavar="DIR", help="the folder of several runs' result")
    parser.add_argument(
        "--fusion",
        choices=("mean", "weighted", "concat"),
        help="how to combine several runs: the mean of z-scored cosines (default), their mean "
        "weighted by the validation pairs, or the plain mean of cosines (concat)",
    )
    parser.add_argument("--stage", metavar="NAME", help="embed with this stage, not the best")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="take your own files although a stage was trained with another text of them",
    )
    parser.add_argument("--pair", nargs=2, metavar=("A", "B"), help="compare two pictures")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_intermixed_args(arguments)
    given = options.runs + options.changes  # argparse gives all of them to the first
    options.changes = [text for text in given if is_change(text)]
    options.runs = [text for text in given if text not in options.changes]
    if not options.runs:
        parser.error("name a run folder")
    if (len(options.runs) > 1) != bool(options.out) or (options.fusion and not options.out):
        parser.error("--out goes with several runs, and --fusion with --out")
    if options.pair and options.out:
        parser.error("--pair is of one run or fusion")
    return options


def is_change(text: str) -> bool:
    """Whether it changes the recipe; else it names a run."""
    return ("=" in text and not Path(text).is_dir()) or text.endswith((".yaml", ".yml"))


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)

    def work() -> None:
        logs.set_up_logging(quiet=bool(options.pair))
        from starter import api

        more = {"overrides": options.changes, "trust": options.trust}
        if options.pair:
            answer = api.verify_pair(options.runs[0], *options.pair, **more)
            print(answer.as_json() if options.json else words.pair(answer))
            return
        more["stage"] = options.stage
        if options.out:
            result = api.fuse(options.runs, options.out, options.fusion or "mean", **more)
        else:
            result = api.verify(options.runs[0], **more)
        report = api.draw_report(result.run)
        print(result.as_json() if options.json else words.verified(result, report))

    return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
