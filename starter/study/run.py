"""Training a study's runs one after another, and what they came to together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starter.errors import UserError
from starter.report.study import draw_study
from starter.study.measure import Row, measure
from starter.study.plan import Run, Study
from starter.study.table import Line, Pairs, as_cells, summarise, write

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """A study's outcome so far. cells: the table as text, its head first. notes: what it lacks."""

    folder: Path
    rows: list[Row]
    cells: list[tuple[str, ...]]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """Every run as plain values."""
        return {
            "folder": self.folder.as_posix(),
            "notes": self.notes,
            "rows": [
                {
                    "variant": row.run.cell.variant,
                    **row.run.cell.factors,
                    "seed": row.run.seed,
                    "run": row.run.folder.as_posix(),
                    "seconds": row.seconds,
                    "epochs_to_target": row.epochs_to_target,
                    **row.value,
                }
                for row in self.rows
            ],
        }


def train_all(runs: Sequence[Run]) -> dict[Path, str]:
    """Trains what is not finished; a run that cannot be trained is logged and passed over.

    Returns:
        The message of each run that failed, by folder.
    Raises:
        starter.train_stage.Interrupted: stopped; the same call continues.
    """
    from starter.api import train

    failed: dict[Path, str] = {}
    for number, run in enumerate(runs, 1):
        log.info("run %d of %d: %s, seed %d", number, len(runs), run.cell.variant, run.seed)
        try:
            train(run.recipe)
        except UserError as error:
            failed[run.folder] = str(error)
            log.warning("%s, seed %d failed: %s", run.cell.variant, run.seed, error)
    return failed


def conclude(study: Study, runs: Sequence[Run], failed: dict[Path, str]) -> Result:
    """Tabulates the finished runs and draws them (a picture never costs a table).

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
    lines: list[Line] = summarise(study, rows, _pairs(rows))
    folder = Path(runs[0].recipe.runs)
    write(study, rows, lines, folder)
    _draw(folder)
    return Result(folder, rows, as_cells(study, lines), missing)


def _draw(folder: Path) -> None:
    try:
        log.info("report: %s", draw_study(folder)[0].as_posix())
    except Exception as error:  # of matplotlib, of the disk: the numbers are written
        log.warning("%s: no report: %s: %s", folder, type(error).__name__, error)


def _pairs(rows: Sequence[Row]) -> Pairs | None:
    """The validation pairs, where all runs scored the same ones."""
    from starter.data import load_catalog

    data = rows[0].run.recipe.data
    if any(row.score_P is None or row.run.recipe.data != data for row in rows):
        return None
    catalog = load_catalog(data)
    pairs = catalog.pairs["val"]
    assert pairs.same_P is not None, "validation pairs are labelled"
    return Pairs(pairs.same_P, catalog.identities(pairs))
