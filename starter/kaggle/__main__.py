"""Download a competition's data; train a run on Kaggle's GPUs and bring it back.

python -m starter.kaggle download COMPETITION                 data where the recipe looks for it
python -m starter.kaggle push configs/hw2p2.yaml              send the kit, start training
python -m starter.kaggle push configs/hw2p2.yaml --continue   continue from its last output
python -m starter.kaggle status configs/hw2p2.yaml
python -m starter.kaggle pull configs/hw2p2.yaml              bring runs/hw2p2 back
"""

import argparse
import sys
from collections.abc import Callable

from starter.cli import command, logs, words
from starter.kaggle import fetch, kernel

COMMANDS = {
    "download": "download a competition's data, check it and unpack it",
    "push": "send the kit and start training",
    "status": "the state of the training",
    "pull": "bring the run folder back",
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m starter.kaggle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=command.SUBMIT_EXIT_CODES,
    )
    parsers = parser.add_subparsers(dest="command", required=True)
    made = {n: parsers.add_parser(n, help=t, description=t) for n, t in COMMANDS.items()}
    download, push, status, pull = (made[name].add_argument for name in COMMANDS)
    download(
        "target",
        metavar="COMPETITION|RECIPE",
        help="the last part of the competition's address, or a recipe that submits to it",
    )
    push("target", metavar="RECIPE", help="the recipe to train")
    for add in (status, pull):
        add("target", metavar="RECIPE|USER/SLUG", help="a recipe, or a kernel")
    for add in (download, push, status, pull):
        add("changes", nargs="*", metavar="OVERLAY.yaml|key=value", help="override the recipe")
        add("--json", action="store_true", help="print the result as JSON")
    for add in (download, push):
        add("--competition", metavar="SLUG", help="overrides submission.competition")
    download("--to", metavar="DIR", help="default: the recipe's data.root, or data/COMPETITION")
    download("--force", action="store_true", help="download again, replace files that differ")
    push(
        "--attach",
        metavar="USER/DATASET",
        action="append",
        default=[],
        help="mount a dataset too: data, weights or wheels",
    )
    push("--internet", action="store_true", help="switch the internet on (default: off)")
    push("--continue", dest="again", action="store_true", help="continue from its last output")
    pull("--force", action="store_true", help="replace a run folder that was trained elsewhere")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = vars(parse(arguments))
    name, as_json = options.pop("command"), options.pop("json")
    calls: dict[str, tuple[Callable[..., dict], Callable[[dict], str]]] = {
        "download": (fetch.download, downloaded),
        "push": (kernel.push, pushed),
        "status": (kernel.status, state),
        "pull": (kernel.pull, pulled),
    }
    call, text = calls[name]

    def work() -> None:
        logs.set_up_logging()
        words.show(call(options.pop("target"), options.pop("changes"), **options), text, as_json)

    return command.run(work)


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


if __name__ == "__main__":
    sys.exit(main())
