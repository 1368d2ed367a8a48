"""Train every stage of a recipe, in order, and continue where an earlier run stopped.

The training loop is in starter/train_stage.py.

python train.py configs/demo.yaml
python train.py data/my-competition                  (a folder: a recipe is proposed and trained)
python train.py configs/hw2p2.yaml mine.yaml data.root=/kaggle/input/hw2p2
python train.py configs/demo.yaml --stage finetune --fresh finetune
python train.py configs/demo.yaml --find-lr classify
torchrun --standalone --nproc-per-node 2 train.py configs/hw2p2.yaml    (two GPUs)
"""

import argparse
import sys
from pathlib import Path

from starter.cli import command, logs, words
from starter.distributed import joined
from starter.recipe import load, to_yaml
from starter.runs.records import Summary


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=command.EXIT_CODES,
    )
    parser.add_argument("recipe", help="a YAML recipe, or the folder of a data set")
    parser.add_argument(
        "changes", nargs="*", metavar="OVERLAY.yaml|key=value", help="laid over the recipe in order"
    )
    parser.add_argument("--stage", metavar="NAME", help="run this stage alone")
    parser.add_argument(
        "--fresh", metavar="NAME", help="discard this stage and those that start from it, first"
    )
    parser.add_argument(
        "--find-lr",
        metavar="STAGE",
        nargs="?",
        const="",
        default=None,
        help="try out rising learning rates on this stage (the first), train nothing, and stop",
    )
    parser.add_argument("--print-recipe", action="store_true", help="print it resolved, and stop")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)

    def work() -> None:
        with joined() as prints:
            path = Path(options.recipe)
            if path.is_dir():
                path = proposed(path, options, prints)
            recipe = load(path, options.changes)
            if options.print_recipe:
                from starter.training.resolve import resolve

                print(to_yaml(resolve(recipe)) if prints else "", end="")
                return
            logs.set_up_logging()
            from starter import api  # brings torch

            if options.find_lr is not None:
                trials = api.find_lr(recipe, options.find_lr or None)
                words.show(trials, lambda result: result["text"], options.json)
                return
            summary = api.train(recipe, stage=options.stage, fresh=options.fresh)
            if prints:
                report = api.draw_report(f"{recipe.runs}/{recipe.name}")
                content = summary.model_dump(mode="json")
                words.show(content, lambda _: table(recipe, summary, report), options.json)

    return command.run(work, together=options.find_lr is None)


def proposed(folder: Path, options: argparse.Namespace, prints: bool) -> Path:
    """The recipe for a folder, printed and kept in the run."""
    from starter.propose import propose_into

    path, text = propose_into(folder, options.changes)
    if prints and not (options.print_recipe or options.json):
        print(f"{text}\nThe recipe above is {path.as_posix()}.", flush=True)
    return path


def table(recipe, summary: Summary, report: Path | None) -> str:
    """The stages side by side, and the next command."""
    folder = f"{recipe.runs}/{recipe.name}"
    return "\n".join(
        [
            "",
            words.stage_table(summary),
            "",
            f"* best of the run; everything is in {folder}",
            *([f"report: {report.as_posix()}"] if report else []),
            f"next: python verify.py {folder}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
