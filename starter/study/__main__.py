"""Train one recipe with a grid of changes and several seeds, and tabulate what came of it.

python -m starter.study configs/studies/all_losses_omniglot.yaml data.root=data/omniglot
python -m starter.study configs/studies/NAME.yaml --only softmax --only arcface
python -m starter.study configs/studies/NAME.yaml --table    (of what is finished)
"""

import argparse
import json
import sys
from pathlib import Path

from starter.cli import command, logs, words


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m starter.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=command.EXIT_CODES,
    )
    parser.add_argument("study", help="a study file")
    parser.add_argument(
        "changes", nargs="*", metavar="OVERLAY.yaml|key=value", help="laid over every run"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="VARIANT", help="these variants alone"
    )
    parser.add_argument(
        "--table", action="store_true", help="train nothing: tabulate the finished runs"
    )
    parser.add_argument("--list", action="store_true", help="print the runs, and stop")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)

    def work() -> None:
        from starter.study.plan import plan, read_study

        path = Path(options.study)
        study = read_study(path)
        runs = plan(path, study, options.changes, options.only)
        if options.list:
            print("\n".join(f"{run.cell.variant}, seed {run.seed}: {run.folder}" for run in runs))
            return
        logs.set_up_logging()
        from starter.study.run import conclude, train_all

        failed = {} if options.table else train_all(runs)
        result = conclude(study, runs, failed)
        if options.json:
            print(json.dumps(result.as_json(), indent=1))
        else:
            print(
                "\n".join(
                    [
                        words.columns(result.cells),
                        "",
                        *result.notes,
                        f"everything is in {result.folder.as_posix()}",
                    ]
                )
            )

    return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
