"""A competition's data fetched; a run trained on Kaggle's GPUs and brought back.

python -m starter.kaggle download COMPETITION                 data where the recipe looks for it
python -m starter.kaggle push configs/hw2p2.yaml              send the kit, start a kernel
python -m starter.kaggle push configs/hw2p2.yaml --continue   go on from its last output
python -m starter.kaggle status configs/hw2p2.yaml
python -m starter.kaggle pull configs/hw2p2.yaml              runs/hw2p2 comes back
"""

import argparse
import json
import sys

from starter.cli import door


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m starter.kaggle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=door.SUBMIT_EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    what = "fetch a competition's data, check it and unpack it"
    add = commands.add_parser("download", help=what, description=what).add_argument
    add(
        "target",
        metavar="COMPETITION|RECIPE",
        help="the last part of its address, or a recipe that submits to it",
    )
    add("changes", nargs="*", metavar="OVERLAY.yaml|key=value", help="over the recipe")
    add("--to", metavar="DIR", help="else the recipe's data.root, else data/COMPETITION")
    add("--competition", metavar="SLUG", help="over submission.competition")
    add("--force", action="store_true", help="fetch it again, replace what differs")
    add("--json", action="store_true", help="print the result as JSON")
    for name, what in (
        ("push", "send the kit and start training"),
        ("status", "how it stands"),
        ("pull", "bring the run folder back"),
    ):
        add = commands.add_parser(name, help=what, description=what).add_argument
        add("target", metavar="RECIPE" if name == "push" else "RECIPE|USER/SLUG")
        add("changes", nargs="*", metavar="OVERLAY.yaml|key=value", help="over the recipe")
        if name == "push":
            add("--competition", metavar="SLUG", help="whose data to mount")
            add(
                "--attach",
                metavar="USER/DATASET",
                action="append",
                default=[],
                help="a dataset to mount too: data, weights or wheels",
            )
            add("--internet", action="store_true", help="on; off without this")
            add("--continue", dest="again", action="store_true", help="from its last output")
        if name == "pull":
            add("--force", action="store_true", help="replace a run that was trained elsewhere")
        add("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)

    def work() -> None:
        door.set_up_logging()
        from starter.kaggle import fetch, kernel

        given = {
            k: v
            for k, v in vars(options).items()
            if k not in ("command", "json", "target", "changes")
        }
        room = fetch if options.command == "download" else kernel
        result = getattr(room, options.command)(options.target, options.changes, **given)
        print(json.dumps(result, indent=1) if options.json else text(options.command, result))

    return door.run(work)


def text(command: str, result: dict) -> str:
    """The result in a line, and what comes next."""
    if command == "download":
        return (
            f"{result['root']}: {result['files']} files of {result['competition']}, "
            f"{result['size']}, {result['state']}; next: {result['next']}"
        )
    if command == "push":
        return f"{result['kernel']} version {result['version']} is queued: {result['url']}"
    if command == "status":
        return f"{result['kernel']}: {result['status']}" + (
            f" ({result['failure']})" if result["failure"] else ""
        )
    following = (
        "python -m starter.kaggle push RECIPE --continue"
        if result["state"] == "stopped early"
        else f"python submit.py {result['run']}"
    )
    return f"{result['run']}: {result['state']}; next: {following}"


if __name__ == "__main__":
    sys.exit(main())
