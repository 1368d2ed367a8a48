"""What the finished runs of a study came to, and its files: rows.csv, study.json, the table.

Shapes: S seeds, P validation pairs, M dev images, H W image, C channels.

Values are those of the stage's last epoch, not of its best: a best picked by the images and pairs
that are reported would be too good, the more so the more noisy a loss trains.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from starter.data import load_catalog
from starter.data.augment import build_augment
from starter.errors import UserError
from starter.files import read_json, write_json, write_text
from starter.inference.embed import EmbedOptions, embed
from starter.inference.evaluate import predict
from starter.inference.open_stage import open_stage
from starter.metrics import combined, compare
from starter.metrics.registry import find
from starter.report.study import table_rows
from starter.report.study_read import ROWS, STUDY, open_study
from starter.runs.folder import RunFolder, StageFolder
from starter.runs.records import Stage
from starter.stages.gate import paired_interval
from starter.study.plan import Run, Study
from starter.training import checkpoint

METRICS = ("accuracy", "precision", "recall", "eer", "auc")
DISTORTED = "accuracy_distorted"
RESAMPLES = 1000  # of a paired bootstrap interval
Pairs = tuple[np.ndarray, np.ndarray | None]  # same_P bool, identity_P2 where known


@dataclass(frozen=True)
class Row:
    """One run: its metrics as fractions (None where not measured), seconds of training (all its
    stages), epochs until the target (None: never). score_P float32 and correct_M bool: of the last
    epoch, where it is also the best one, whose predictions are kept."""

    run: Run
    value: dict[str, float | None]
    seconds: float
    epochs_to_target: int | None
    score_P: np.ndarray | None = field(repr=False, default=None)
    correct_M: np.ndarray | None = field(repr=False, default=None)

    def record(self) -> dict[str, Any]:
        """The run as plain values, a line of rows.csv."""
        return {
            "variant": self.run.cell.variant,
            **self.run.cell.factors,
            "seed": self.run.seed,
            "run": self.run.folder.as_posix(),
            "seconds": self.seconds,
            "epochs_to_target": self.epochs_to_target,
            **self.value,
        }


def measure(study: Study, run: Run) -> Row:
    """Reads a finished run's folder.

    Raises:
        UserError: the run is not finished, or does not measure the study's metric.
    """
    folder = StageFolder(run.folder / study.measured_stage(run.recipe))
    record = Stage.find(folder.record)
    if record is None or not record.finished:
        raise UserError(f"{folder}: not finished; run the same command to continue")
    lines = folder.metrics.read_text(encoding="utf-8").splitlines()
    epochs = [row for row in map(json.loads, lines) if row["kind"] == "epoch"]
    last = epochs[-1]
    names = dict.fromkeys((*METRICS, study.metric, *study.columns))
    value = {name: last.get(name) for name in names}
    value["combined"] = combined(value["accuracy"], value["eer"])
    if study.distorted:
        value[DISTORTED] = distorted_accuracy(study, run)
    if value[study.metric] is None:
        raise UserError(f"metric: {folder} does not measure {study.metric}")
    stages = RunFolder(run.folder).read_summary().stages.values()
    target, sign = study.target, -1 if find(study.metric).less_is_better else 1
    known = [row for row in epochs if row.get(study.metric) is not None and target is not None]
    reached = [row["epoch"] for row in known if sign * (row[study.metric] - target) >= 0]
    kept: dict[str, np.ndarray] = {}
    if record.best_step == last["step"]:
        with np.load(folder.predictions) as arrays:
            kept = dict(arrays)
    seconds, arrays = sum(stage.seconds for stage in stages), ("score_P", "correct_M")
    return Row(run, value, seconds, min(reached, default=None), *map(kept.get, arrays))


def distorted_accuracy(study: Study, run: Run) -> float:
    """Accuracy of the last checkpoint on dev images altered by `distorted`; measured once.

    Every run sees the same altered images: an image's are drawn from (0, 0, its number).
    """
    stage = study.measured_stage(run.recipe)
    path = StageFolder(run.folder / stage).distorted
    steps = [step.model_dump(mode="json") for step in study.distorted]
    if path.is_file() and (known := read_json(path))["distorted"] == steps:
        return known["accuracy"]
    catalog = load_catalog(run.recipe.data)
    trained = open_stage(RunFolder(run.folder), run.recipe, stage, catalog)
    last = checkpoint.find(StageFolder(run.folder / stage), "last")
    assert last is not None
    trained.learner.load_state_dict(last.weights())
    contract = trained.learner.embedder.preprocessing
    image_NHWC = trained.pack(run.recipe, catalog)
    dev_M = catalog.index("dev")
    alter = build_augment(study.distorted, contract.image_size, contract.channels)
    assert alter is not None
    altered_MHWC = np.stack([alter(image_NHWC[i], (0, 0, n)) for n, i in enumerate(dev_M)])
    options: EmbedOptions = trained.options
    emb_MD = embed(trained.learner.embedder, altered_MHWC, np.arange(len(dev_M)), options)
    predicted_M = predict(trained.learner, emb_MD, catalog, image_NHWC, options)
    accuracy = float((predicted_M == catalog.label_N[dev_M]).mean())
    write_json(path, {"distorted": steps, "accuracy": accuracy})
    return accuracy


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
    name = "correct_M" if metric == "accuracy" else "score_P"
    base_S, own_S = (_stacked(part, name) for part in (base, own))
    if base_S is None or own_S is None:
        return None, None
    if metric == "accuracy":
        return paired_interval(own_S.mean(0), base_S.mean(0), 0)
    if pairs is None or metric not in ("eer", "auc"):
        return None, None
    same_P, identity_P2 = pairs
    changes = compare(base_S, own_S, same_P, identity_P2=identity_P2, resamples=RESAMPLES)
    return changes[metric]["low"], changes[metric]["high"]


def _stacked(rows: list[Row], name: str) -> np.ndarray | None:
    """An array that every run kept, a row a seed; None where one has none."""
    arrays = [getattr(row, name) for row in rows]
    return None if any(array is None for array in arrays) else np.stack(arrays)


def shared_pairs(rows: Sequence[Row]) -> Pairs | None:
    """The validation pairs, where all runs scored the same ones."""
    data = rows[0].run.recipe.data
    if any(row.score_P is None or row.run.recipe.data != data for row in rows):
        return None
    catalog = load_catalog(data)
    pairs = catalog.pairs["val"]
    assert pairs.same_P is not None, "validation pairs are labelled"
    return pairs.same_P, catalog.identities(pairs)
