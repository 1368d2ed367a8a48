"""What a finished run of a study came to.

Shapes: P validation pairs, M dev images, H W image, C channels.

Values are those of the stage's last epoch, not of its best: a best picked by the images and pairs
that are reported would be too good, the more so the more noisy a loss trains.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from starter.data import load_catalog
from starter.data.augment import build_augment
from starter.errors import UserError
from starter.files import read_json, write_json
from starter.inference.embed import EmbedOptions, embed
from starter.inference.evaluate import predict
from starter.inference.open_stage import open_stage
from starter.metrics import combined
from starter.metrics.registry import find
from starter.runs.folder import RunFolder, StageFolder
from starter.runs.records import Stage
from starter.study.plan import Run, Study
from starter.training import checkpoint

METRICS = ("accuracy", "precision", "recall", "eer", "auc")
DISTORTED = "accuracy_distorted"


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
