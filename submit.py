"""Check a submission file, send it to Kaggle, wait for its score; look back at what was sent.

python submit.py runs/demo --dry-run
python submit.py runs/hw2p2 --message "{run}: {combined} at {commit}"
python submit.py my.csv --sample sample_submission.csv --competition SLUG
python submit.py status [RUN] [--watch]   what Kaggle lists, with scores and its own errors
python submit.py limits [RUN]             how many submissions are left today
python submit.py best [RUN] [--lower]     the best public score and the run it is of
python submit.py ledger                   local metrics against the leaderboard
python submit.py package RUN              the zip to hand in to a course
"""

import argparse
import json
import sys

from starter.cli import door

COMMANDS = ("status", "limits", "best", "ledger", "package")


def parse(arguments: list[str]) -> argparse.Namespace:
    command = arguments[0] if arguments and arguments[0] in COMMANDS else "submit"
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=door.SUBMIT_EXIT_CODES,
    )
    add = parser.add_argument
    if command == "submit":
        add("target", metavar="RUN|CSV", help="a run folder or a csv file")
        add("--dry-run", action="store_true", help="check only")
        add("--sample", metavar="FILE", help="sample submission to check against")
        add(
            "--message",
            help="shown beside the submission on Kaggle; may hold {run}, {stage}, "
            "{combined}, {accuracy}, {eer}, {commit}",
        )
        add("--force", action="store_true", help="send a file that was submitted before")
        add("--no-wait", action="store_true", help="do not wait for the score")
        add("--watch", action="store_true", help="wait for the score as long as it takes")
        add("--timeout", type=seconds, metavar="S", help="wait for the score S seconds (900)")
    elif command == "package":
        add("target", metavar="RUN", help="a run folder")
        add("--out", metavar="FILE.zip", help="else <name>_handin.zip in the run folder")
    elif command != "ledger":
        add("target", nargs="?", metavar="RUN|CSV", help="a run folder or a csv file")
    if command == "status":
        add("--watch", action="store_true", help="wait until nothing is pending")
    if command == "best":
        add("--lower", action="store_true", help="a lower score is the better one")
    if command == "ledger":
        add("--metric", choices=("combined", "accuracy", "eer"), help="to compare with")
    if command != "package":
        add("--competition", metavar="SLUG", help="over submission.competition")
    if command not in ("limits", "package"):
        add("--ledger", metavar="FILE", help="else submissions.jsonl beside the run, or in runs/")
    add("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments[1:] if command != "submit" else arguments)
    options.command = command
    return options


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def main(arguments: list[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)

    def work() -> None:
        door.set_up_logging()
        from starter.cli import submit_text

        result = ask(options)
        print(
            json.dumps(result, indent=1)
            if options.json
            else submit_text.OF[options.command](result)
        )

    return door.run(work)


def ask(options: argparse.Namespace) -> dict:
    """Calls what the command means."""
    from starter.kaggle import leaderboard

    given = {k: v for k, v in vars(options).items() if k not in ("command", "json", "target")}
    if options.command == "package":
        from starter.package import package

        return package(options.target, **given)
    if options.command == "ledger":
        return leaderboard.look_back(**given)
    if options.command != "submit":
        return getattr(leaderboard, options.command)(options.target, **given)
    given["wait"] = not given.pop("no_wait")
    timeout = leaderboard.SCORE_TIMEOUT if options.timeout is None else options.timeout
    given["timeout"] = None if given.pop("watch") else timeout
    return leaderboard.submit(options.target, **given)


if __name__ == "__main__":
    sys.exit(main())
