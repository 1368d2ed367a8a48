"""From the runs of a study to its files: rows.csv, study.json, the table.

Shapes: S seeds, P validation pairs, M dev images.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from starter.data import load_catalog
from starter.files import write_json, write_text
from starter.metrics import compare
from starter.metrics.registry import find
from starter.report.study import open_study, table_rows
from starter.report.study_read import ROWS, STUDY
from starter.stages.judge import paired_interval
from starter.study.measure import DISTORTED, Row
from starter.study.plan import Study

RESAMPLES = 1000
Pairs = tuple[np.ndarray, np.ndarray | None]  # same_P bool, identity_P2 where known


def write(study: Study, rows: Sequence[Row], pairs: Pairs | None, folder: Path) -> list[list[str]]:
    """Writes rows.csv, study.json, table.csv and table.md; returns the table, its head first.

    pairs: those that every run scored, None where they differ.
    """
    frame = pd.DataFrame([row.record() for row in rows])
    text = frame.astype({"epochs_to_target": "Int64"}).round({"seconds": 1}).to_csv(index=False)
    write_text(folder / ROWS, text)
    record = {
        "name": study.name,
        "metric": study.metric,
        "target": study.target,
        "higher_is_better": not find(study.metric).less_is_better,
        "stage": study.stage,
        "baseline": study.baseline,
        "variants": frame["variant"].unique().tolist(),
        "factors": list(study.grid),
        "reported": study.reported,
        "difference": differences(study, rows, frame, pairs),
    }
    write_json(folder / STUDY, record)
    opened = open_study(folder)
    metrics = [study.metric, *study.columns, *([DISTORTED] if study.distorted else [])]
    metrics = list(dict.fromkeys(metrics))
    table = table_rows(opened, metrics)
    write_text(folder / "table.csv", pd.DataFrame(table).to_csv(index=False, header=False))
    head, *body = (
        f"| {' | '.join(cells)} |" for cells in table_rows(opened, metrics, bold="**{}**".format)
    )
    write_text(folder / "table.md", "\n".join([head, "|" + "---|" * len(table[0]), *body, ""]))
    return table


def differences(
    study: Study, rows: Sequence[Row], frame: pd.DataFrame, pairs: Pairs | None
) -> dict[str, list[float | None]]:
    """variant -> mean, low and high of the metric's difference from the baseline's.

    Each seed is compared with the same seed of the baseline. low and high are the paired 95 %
    bootstrap interval over pairs or images, None where predictions of the last epoch were not kept.
    """
    baseline = study.baseline
    if baseline is None or baseline not in set(frame["variant"]):
        return {}
    value = frame.pivot(index="seed", columns="variant", values=study.metric)
    change = value.sub(value[baseline], axis=0)
    by_run = {(row.run.cell.variant, row.run.seed): row for row in rows}
    by_variant: dict[str, list[float | None]] = {}
    for variant in change.columns.drop(baseline):
        seeds = change[variant].dropna().index
        if len(seeds):
            own, base = ([by_run[name, seed] for seed in seeds] for name in (variant, baseline))
            low, high = _interval(study.metric, own, base, pairs)
            by_variant[variant] = [float(change[variant].mean()), low, high]
    return by_variant


def _interval(
    metric: str, own: list[Row], base: list[Row], pairs: Pairs | None
) -> tuple[float | None, float | None]:
    """The paired interval of the seeds' mean difference."""
    if metric in ("eer", "auc") and pairs is not None:
        base_SP, own_SP = (_stacked([row.score_P for row in part]) for part in (base, own))
        if base_SP is not None and own_SP is not None:
            same_P, identity_P2 = pairs
            change = compare(base_SP, own_SP, same_P, identity_P2=identity_P2, resamples=RESAMPLES)[
                metric
            ]
            return change["low"], change["high"]
    if metric == "accuracy":
        base_SM, own_SM = (_stacked([row.correct_M for row in part]) for part in (base, own))
        if base_SM is not None and own_SM is not None:
            return paired_interval(own_SM.mean(0), base_SM.mean(0), 0)
    return None, None


def _stacked(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    """An array of every run, seeds first; None where a run has none."""
    known = [array for array in arrays if array is not None]
    return np.stack(known) if len(known) == len(arrays) else None


def shared_pairs(rows: Sequence[Row]) -> Pairs | None:
    """The validation pairs, where all runs scored the same ones."""
    data = rows[0].run.recipe.data
    if any(row.score_P is None or row.run.recipe.data != data for row in rows):
        return None
    catalog = load_catalog(data)
    pairs = catalog.pairs["val"]
    assert pairs.same_P is not None, "validation pairs are labelled"
    return pairs.same_P, catalog.identities(pairs)
