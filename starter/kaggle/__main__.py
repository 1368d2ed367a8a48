"""Download a competition's data; train a run on Kaggle's GPUs and bring it back.

python -m starter.kaggle download COMPETITION                 data where the recipe looks for it
python -m starter.kaggle push configs/hw2p2.yaml              send the kit, start training
python -m starter.kaggle push configs/hw2p2.yaml --continue   continue from its last output
python -m starter.kaggle status configs/hw2p2.yaml
python -m starter.kaggle pull configs/hw2p2.yaml              bring runs/hw2p2 back
"""

import argparse
import sys

from starter.cli import command, logs, words
from starter.kaggle import download, pull, push


def downloaded(result: dict) -> str:
    return (
        f"{result['root']}: {result['files']} files of {result['competition']}, "
        f"{result['size']}, {result['state']}; next: {result['next']}"
    )


def pushed(result: dict) -> str:
    return f"{result['kernel']} version {result['version']} is queued: {result['url']}"


def state(result: dict) -> str:
    failure = f" ({result['failure']})" if result["failure"] else ""
    return f"{result['kernel']}: {result['status']}{failure}"


def pulled(result: dict) -> str:
    following = (
        "python -m starter.kaggle push RECIPE --continue"
        if result["state"] == "stopped early"
        else f"python submit.py {result['run']}"
    )
    return f"{result['run']}: {result['state']}; next: {following}"


COMMANDS: dict[str, tuple] = {  # help, the function, its result in words
    "download": (
        "download a competition's data, check it and unpack it",
        download.download,
        downloaded,
    ),
    "push": ("send the kit and start training", push.push, pushed),
    "status": ("the state of the training", pull.status, state),
    "pull": ("bring the run folder back", pull.pull, pulled),
}
TARGETS = {
    "download": (
        "COMPETITION|RECIPE",
        "the last part of the competition's address, or a recipe that submits to it",
    ),
    "push": ("RECIPE", "the recipe to train"),
    "status": ("RECIPE|USER/SLUG", "a recipe, or a kernel"),
    "pull": ("RECIPE|USER/SLUG", "a recipe, or a kernel"),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m starter.kaggle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=command.SUBMIT_EXIT_CODES,
    )
    parsers = parser.add_subparsers(dest="command", required=True)
    for name, (text, *_) in COMMANDS.items():
        add = parsers.add_parser(name, help=text, description=text).add_argument
        metavar, target = TARGETS[name]
        add("target", metavar=metavar, help=target)
        add("changes", nargs="*", metavar="OVERLAY.yaml|key=value", help="override the recipe")
        add("--json", action="store_true", help="print the result as JSON")
        if name in ("download", "push"):
            add("--competition", metavar="SLUG", help="overrides submission.competition")
        if name == "download":
            add("--to", metavar="DIR", help="default: the recipe's data.root, or data/COMPETITION")
            add("--force", action="store_true", help="download again, replace files that differ")
        if name == "push":
            attached = "mount a dataset too: data, weights or wheels"
            add("--attach", metavar="USER/DATASET", action="append", default=[], help=attached)
            add("--internet", action="store_true", help="switch the internet on (default: off)")
            again = "continue from its last output"
            add("--continue", dest="again", action="store_true", help=again)
        if name == "pull":
            replace = "replace a run folder that was trained elsewhere"
            add("--force", action="store_true", help=replace)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = vars(parse(arguments))
    _, call, text = COMMANDS[options.pop("command")]
    as_json = options.pop("json")

    def work() -> None:
        logs.set_up_logging()
        words.show(call(**options), text, as_json)

    return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
