"""Check a submission file, send it to Kaggle, wait for its score; look back at what was sent.

python submit.py runs/demo --dry-run
python submit.py runs/hw2p2 --message "{run}: {combined} at {commit}"
python submit.py my.csv --sample sample_submission.csv --competition SLUG
python submit.py COMMAND --help
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from starter.cli import command, logs, submit_text, words
from starter.kaggle import leaderboard

COMMANDS = {
    "send": "check a file and submit it (the default: `submit.py RUN` means `submit.py send RUN`)",
    "status": "what Kaggle lists: scores, and its reasons for an error",
    "limits": "how many submissions are left today",
    "best": "the best public score, and the run it belongs to",
    "ledger": "local metrics beside the leaderboard's scores",
    "package": "the zip file to hand in to a course",
}


def parse(arguments: list[str]) -> argparse.Namespace:
    layout: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=command.SUBMIT_EXIT_CODES, **layout
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {
        name: parsers.add_parser(
            name, help=text, description=text, epilog=command.SUBMIT_EXIT_CODES, **layout
        )
        for name, text in COMMANDS.items()
    }
    made["send"].add_argument("target", metavar="RUN|CSV", help="a run folder or a csv file")
    made["package"].add_argument("target", metavar="RUN", help="a run folder")
    for name in ("status", "limits", "best"):
        made[name].add_argument(
            "target", nargs="?", metavar="RUN|CSV", help="a run folder or a csv file"
        )
    for name in ("send", "status", "limits", "best", "ledger"):
        made[name].add_argument(
            "--competition", metavar="SLUG", help="overrides submission.competition"
        )
    for name in ("send", "status", "best", "ledger"):
        made[name].add_argument(
            "--ledger",
            metavar="FILE",
            help="default: submissions.jsonl beside the run folder, or in runs/",
        )
    _add_send(made["send"].add_argument)
    made["status"].add_argument(
        "--watch", action="store_true", help="wait until no submission is pending"
    )
    made["best"].add_argument("--lower", action="store_true", help="a lower score is better")
    made["ledger"].add_argument(
        "--metric", choices=("combined", "accuracy", "eer"), help="the local metric to compare"
    )
    made["package"].add_argument(
        "--out", metavar="FILE.zip", help="default: <name>_handin.zip in the run folder"
    )
    for one in made.values():
        one.add_argument("--json", action="store_true", help="print the result as JSON")
    first = arguments[0] if arguments else "--help"
    named = first in (*COMMANDS, "-h", "--help")
    return parser.parse_args(arguments if named else ["send", *arguments])


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
    add("--watch", action="store_true", help="wait for the score as long as it takes")
    add("--timeout", type=seconds, default=wait, metavar="S", help=f"seconds to wait ({wait:g})")


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def main(arguments: list[str] | None = None) -> int:
    options = vars(parse(sys.argv[1:] if arguments is None else arguments))
    name, as_json = options.pop("command"), options.pop("json")

    def work() -> None:
        logs.set_up_logging()
        words.show(call(name, options), submit_text.OF[name], as_json)

    return command.run(work)


def call(name: str, options: dict) -> dict:
    """The function that a command stands for, called with its options."""
    if name == "package":
        from starter.package import package  # brings torch

        return package(options.pop("target"), **options)
    if name == "send":
        if options.pop("watch"):
            options["timeout"] = None
        return leaderboard.submit(options.pop("target"), **options)
    calls: dict[str, Callable[..., dict]] = {
        "status": leaderboard.status,
        "limits": leaderboard.limits,
        "best": leaderboard.best,
        "ledger": leaderboard.look_back,
    }
    return calls[name](**options)


if __name__ == "__main__":
    sys.exit(main())
