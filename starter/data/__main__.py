"""What a recipe's data is made of, how it is augmented, validation pairs for a set without.

python -m starter.data inspect data/my-competition --recipe my.yaml   (a folder: its recipe)
python -m starter.data inspect configs/hw2p2.yaml data.root=/kaggle/input/<slug>
python -m starter.data inspect configs/orl.yaml --json --picture orl.png
python -m starter.data augmented configs/faces64.yaml --picture augmented.png
python -m starter.data pairs configs/orl.yaml --hard --out hard_pairs.txt
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from starter.cli import command, logs
from starter.errors import UserError
from starter.files import write_text
from starter.recipe import load
from starter.recipe.schema.data import DataSection

# What a folder is looked at by; a stage, as no recipe goes without.
OF_FOLDER = """\
name: folder
data: {{layout: auto, root: {root}, split: {{dev: 0}}}}
stages: {{classify: {{loss: [{{kind: softmax}}]}}}}
"""


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
        or_folder = ", or a data set's folder" if one is inspect else ""
        one.add_argument("recipe", help=f"a recipe, e.g. configs/hw2p2.yaml{or_folder}")
        one.add_argument("changes", nargs="*", metavar="key=value", help="over the recipe")
        one.add_argument("--json", action="store_true", help="print the result as JSON")
    inspect.add_argument("--picture", type=Path, metavar="PNG", help="draw samples and pairs")
    inspect.add_argument(
        "--recipe", type=Path, dest="proposed", metavar="YAML", help="write the folder's recipe"
    )
    inspect.add_argument("--threads", type=int, default=8, help="that read and decode (8)")
    augmented.add_argument("--picture", type=Path, default=Path("augmented.png"), metavar="PNG")
    augmented.add_argument("--stage", help="of the recipe (default: the first)")
    pairs.add_argument("--hard", action="store_true", help="impostors that look alike")
    pairs.add_argument("--out", type=Path, default=Path("val_pairs.txt"), help="the file to write")
    return parser.parse_args(arguments)


def run_inspect(options: argparse.Namespace) -> tuple[dict, str]:
    from starter.data.inspect import draw, inspect, table

    folder, path = Path(options.recipe), options.proposed
    if path is not None and (options.changes or not folder.is_dir()):
        raise UserError("--recipe goes with a folder and no changes: it writes what is proposed")
    if path is not None and path.exists():
        raise UserError(f"{path} is there already; remove it or give another --recipe")
    if folder.is_dir():
        data = of_folder(folder, options.changes)
    else:
        data = load(options.recipe, options.changes).data
    report, catalog, _ = inspect(data, max(1, options.threads))
    if options.picture:
        draw(catalog, options.picture, report)
        report["picture"] = options.picture.as_posix()
    if path is None:
        return report, table(report)
    from starter.propose import propose, run_name

    text = propose(folder, run_name(folder))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    report["recipe"] = path.as_posix()
    return report, f"{table(report)}\nrecipe       {path}; next: python train.py {path}"


def of_folder(folder: Path, changes: list[str]) -> DataSection:
    """What a recipe for the folder would say of its data, nothing but where it lies being known."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "folder.yaml"
        write_text(path, OF_FOLDER.format(root=json.dumps(str(folder.resolve()))))
        return load(path, changes).data


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
