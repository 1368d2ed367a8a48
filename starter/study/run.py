"""Training a study's runs one after another, and what they came to together."""

import logging
from collections.abc import Sequence
from pathlib import Path

from starter.api import train
from starter.errors import UserError
from starter.report.study import draw_study
from starter.study.measure import Row, measure
from starter.study.plan import Run, Study
from starter.study.table import shared_pairs, write

log = logging.getLogger(__name__)


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
