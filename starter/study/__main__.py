"""Train one recipe with a grid of changes and several seeds, and tabulate what came of it.

python -m starter.study configs/studies/all_losses_omniglot.yaml data.root=data/omniglot
python -m starter.study configs/studies/NAME.yaml --only softmax --only arcface
python -m starter.study configs/studies/NAME.yaml --table    (of what is finished)
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from starter.api import train
from starter.cli import command, logs, words
from starter.errors import UserError
from starter.report.study import draw_study
from starter.study.plan import Run, Study, plan, read_study
from starter.study.table import Row, measure, shared_pairs, write

log = logging.getLogger(__name__)


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


def train_all(runs: Sequence[Run]) -> dict[Path, str]:
    """Trains what is not finished; a run that cannot be trained is logged and passed over.

    Returns:
        The message of each run that failed, by folder.
    Raises:
        starter.errors.Interrupted: stopped; the same call continues.
    """
    failed: dict[Path, str] = {}
    for number, run in enumerate(runs, 1):
        log.info("run %d of %d: %s, seed %d", number, len(runs), run.cell.variant, run.seed)
        try:
            train(run.recipe)
        except UserError as error:
            failed[run.folder] = str(error)
            log.warning("%s, seed %d failed: %s", run.cell.variant, run.seed, error)
    return failed


def conclude(
    study: Study, runs: Sequence[Run], failed: dict[Path, str]
) -> tuple[list[Row], list[list[str]], list[str]]:
    """Tabulates the finished runs and draws them (a picture never costs a table).

    Returns:
        The rows, the table as text with its head first, and what it lacks.
    Raises:
        UserError: none is finished.
    """
    rows, missing = [], []
    for run in runs:
        try:
            rows.append(measure(study, run))
        except UserError as error:
            why = failed.get(run.folder, str(error)).splitlines()[0]
            missing.append(f"missing: {run.cell.variant}, seed {run.seed}: {why}")
    if not rows:
        raise UserError("\n".join(missing))
    folder = Path(runs[0].recipe.runs)
    table = write(study, rows, shared_pairs(rows), folder)
    try:
        log.info("report: %s", draw_study(folder)[0].as_posix())
    except Exception as error:  # of matplotlib, of the disk: the numbers are written
        log.warning("%s: no report: %s: %s", folder, type(error).__name__, error)
    return rows, table, missing


if __name__ == "__main__":
    sys.exit(main())
