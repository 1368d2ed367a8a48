"""What a recipe's data is made of, how it is augmented, validation pairs for a set without.

python -m starter.data inspect configs/hw2p2.yaml data.root=/kaggle/input/<slug>
python -m starter.data inspect configs/orl.yaml --json --picture orl.png
python -m starter.data augmented configs/faces64.yaml --picture augmented.png
python -m starter.data pairs configs/orl.yaml --hard --out hard_pairs.txt
"""

import argparse
import json
import sys
from pathlib import Path

from starter.cli import command, logs
from starter.recipe import load


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m starter.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="counts, sizes, faults, twins, leakage, pairs")
    pairs = commands.add_parser("pairs", help="write validation pairs, 'a b 1' a line")
    augmented = commands.add_parser("augmented", help="draw variants of training images")
    for one in (inspect, augmented, pairs):
        one.add_argument("recipe", help="a recipe, e.g. configs/hw2p2.yaml")
        one.add_argument("changes", nargs="*", metavar="key=value", help="over the recipe")
        one.add_argument("--json", action="store_true", help="print the result as JSON")
    inspect.add_argument("--picture", type=Path, metavar="PNG", help="draw samples and pairs")
    inspect.add_argument("--threads", type=int, default=8, help="that read and decode (8)")
    augmented.add_argument("--picture", type=Path, default=Path("augmented.png"), metavar="PNG")
    augmented.add_argument("--stage", help="of the recipe (default: the first)")
    pairs.add_argument("--hard", action="store_true", help="impostors that look alike")
    pairs.add_argument("--out", type=Path, default=Path("val_pairs.txt"), help="the file to write")
    return parser.parse_args(arguments)


def run_inspect(options: argparse.Namespace) -> tuple[dict, str]:
    from starter.data.inspect import draw, inspect, table

    data = load(options.recipe, options.changes).data
    report, catalog, _ = inspect(data, max(1, options.threads))
    if options.picture:
        draw(catalog, options.picture, report)
        report["picture"] = options.picture.as_posix()
    return report, table(report)


def run_augmented(options: argparse.Namespace) -> tuple[dict, str]:
    from starter.data import load_catalog
    from starter.data.inspect.augmented import draw_augmented

    recipe = load(options.recipe, options.changes)
    stage = options.stage or next(iter(recipe.stages))
    drawn = draw_augmented(recipe, stage, load_catalog(recipe.data), options.picture)
    return drawn, f"{drawn['picture']}: {drawn['images']} images, {drawn['variants']} variants each"


def run_pairs(options: argparse.Namespace) -> tuple[dict, str]:
    from starter.data.inspect.written import made_pairs, write_pairs

    catalog, pairs = made_pairs(load(options.recipe, options.changes).data, hard=options.hard)
    write_pairs(catalog, pairs, options.out)
    assert pairs.same_P is not None
    drawn = {
        "file": options.out.as_posix(),
        "pairs": len(pairs.a_P),
        "genuine": int(pairs.same_P.sum()),
        "hard": options.hard,
        "root": None if catalog.root is None else catalog.root.as_posix(),
    }
    counts = f"{drawn['pairs']} pairs, {drawn['genuine']} genuine"
    return drawn, f"{drawn['file']}: {counts}, of {drawn['root']}"


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    commands = {"inspect": run_inspect, "augmented": run_augmented, "pairs": run_pairs}

    def work() -> None:
        logs.set_up_logging(quiet=True)
        result, text = commands[options.command](options)
        print(json.dumps(result, indent=1) if options.json else text)

    return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
