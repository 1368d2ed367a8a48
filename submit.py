"""Check a submission file, send it to Kaggle, wait for its score; look back at what was sent.

python submit.py runs/demo --dry-run
python submit.py runs/hw2p2 --message "{run}: {combined} at {commit}"
python submit.py my.csv --sample sample_submission.csv --competition SLUG
python submit.py COMMAND --help
"""

import argparse
import sys
from typing import Any

from starter.cli import command, logs, words
from starter.kaggle import leaderboard


def package(target: str, **options: Any) -> dict:
    from starter.package import package  # brings torch

    return package(target, **options)


COMMANDS: dict[str, tuple] = {  # help, the function, its result in words
    "send": (
        "check a file and submit it (the default: `submit.py RUN` means `submit.py send RUN`)",
        leaderboard.submit,
        words.submitted,
    ),
    "status": (
        "what Kaggle lists: scores, and its reasons for an error",
        leaderboard.status,
        words.listed,
    ),
    "limits": ("how many submissions are left today", leaderboard.limits, words.allowance),
    "best": (
        "the best public score, and the run it belongs to",
        leaderboard.best,
        words.best_score,
    ),
    "ledger": (
        "local metrics beside the leaderboard's scores",
        leaderboard.look_back,
        words.ledger,
    ),
    "package": ("the zip file to hand in to a course", package, words.packed),
}


def parse(arguments: list[str]) -> argparse.Namespace:
    layout: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "epilog": command.SUBMIT_EXIT_CODES,
    }
    parser = argparse.ArgumentParser(description=__doc__, **layout)
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, *_) in COMMANDS.items():
        add = parsers.add_parser(name, help=text, description=text, **layout).add_argument
        if name == "package":
            add("target", metavar="RUN", help="a run folder")
            add("--out", metavar="FILE.zip", help="default: <name>_handin.zip in the run folder")
        else:
            _add_target_and_ledger(add, name)
        if name == "send":
            _add_send(add)
        if name == "status":
            add("--watch", action="store_true", help="wait until no submission is pending")
        if name == "best":
            add("--lower", action="store_true", help="a lower score is better")
        if name == "ledger":
            metrics = ("combined", "accuracy", "eer")
            add("--metric", choices=metrics, help="the local metric to compare")
        add("--json", action="store_true", help="print the result as JSON")
    first = arguments[0] if arguments else "--help"
    named = first in (*COMMANDS, "-h", "--help")
    return parser.parse_args(arguments if named else ["send", *arguments])


def _add_target_and_ledger(add, name: str) -> None:
    if name != "ledger":
        nargs = None if name == "send" else "?"
        add("target", nargs=nargs, metavar="RUN|CSV", help="a run folder or a csv file")
    add("--competition", metavar="SLUG", help="overrides submission.competition")
    if name != "limits":
        default = "default: submissions.jsonl beside the run folder, or in runs/"
        add("--ledger", metavar="FILE", help=default)


def _add_send(add) -> None:
    add("--dry-run", action="store_true", help="check only, send nothing")
    add("--sample", metavar="FILE", help="the sample submission to check against")
    add(
        "--message",
        help="the description shown on Kaggle; may contain {run}, {stage}, {combined}, "
        "{accuracy}, {eer}, {commit}",
    )
    add("--force", action="store_true", help="send a file that was submitted before")
    add("--no-wait", dest="wait", action="store_false", help="do not wait for the score")
    wait = leaderboard.SCORE_TIMEOUT
    add("--timeout", type=seconds, default=wait, metavar="S", help=f"seconds to wait ({wait:g})")
    forever = "wait for the score as long as it takes"
    add("--watch", dest="timeout", action="store_const", const=None, help=forever)


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def main(arguments: list[str] | None = None) -> int:
    options = vars(parse(sys.argv[1:] if arguments is None else arguments))
    _, call, text = COMMANDS[options.pop("command")]
    as_json = options.pop("json")

    def work() -> None:
        logs.set_up_logging()
        words.show(call(**options), text, as_json)

    return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
