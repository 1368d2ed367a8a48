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
from starter.study.plan import plan, read_study
from starter.study.run import conclude, train_all


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m starter.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=command.EXIT_CODES,
    )
    add = parser.add_argument
    add("study", help="a study file")
    add("changes", nargs="*", metavar="OVERLAY.yaml|key=value", help="applied to every run")
    add("--only", action="append", default=[], metavar="VARIANT", help="only these variants")
    add("--table", action="store_true", help="train nothing; tabulate the finished runs")
    add("--list", action="store_true", help="print the runs and stop")
    add("--json", action="store_true", help="print the rows as JSON")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    return command.run(lambda: work(options))


def work(options: argparse.Namespace) -> None:
    path = Path(options.study)
    study = read_study(path)
    runs = plan(path, study, options.changes, options.only)
    if options.list:
        print("\n".join(f"{run.cell.variant}, seed {run.seed}: {run.folder}" for run in runs))
        return
    logs.set_up_logging()
    rows, table, missing = conclude(study, runs, {} if options.table else train_all(runs))
    folder = Path(runs[0].recipe.runs).as_posix()
    if options.json:
        records = [row.record() for row in rows]
        print(json.dumps({"folder": folder, "notes": missing, "rows": records}, indent=1))
    else:
        text = words.columns([tuple(row) for row in table])
        print("\n".join([text, "", *missing, f"everything is in {folder}"]))


if __name__ == "__main__":
    sys.exit(main())
