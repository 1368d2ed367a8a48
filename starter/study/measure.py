"""What a finished run of a study came to.

Shapes: P validation pairs, M dev images, H W image, C channels.

Values are those of the stage's last epoch, not of its best: a best picked by the images and pairs
that are reported would be too good, the more so the more noisy a loss trains.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from starter.errors import UserError
from starter.metrics import combined
from starter.runs.folder import RunFolder, StageFolder
from starter.study.plan import HIGHER_IS_BETTER, Run, Study

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


def measure(study: Study, run: Run) -> Row:
    """Reads a finished run's folder.

    Raises:
        UserError: the run is not finished, or does not measure the study's metric.
    """
    stage = study.stage or list(run.recipe.stages)[-1]
    folder = StageFolder(run.folder / stage)
    record = _read(folder.record)
    if record is None or not record["finished"]:
        raise UserError(f"{folder}: not finished; run the same command to continue")
    lines = (folder.metrics).read_text(encoding="utf-8").splitlines()
    epochs = [row for row in map(json.loads, lines) if row["kind"] == "epoch"]
    last = epochs[-1]
    value: dict[str, float | None] = {name: last.get(name) for name in METRICS}
    if (both := combined(value["accuracy"], value["eer"])) is not None:
        value["combined"] = both
    if study.distorted:
        value[DISTORTED] = distorted_accuracy(study, run, stage)
    if value.get(study.metric) is None:
        raise UserError(f"metric: {folder} does not measure {study.metric}")
    summary = _read(RunFolder(run.folder).summary)
    assert summary is not None
    seconds = sum(entry["seconds"] for entry in summary["stages"].values())
    reached = [row["epoch"] for row in epochs if _reaches(study, row.get(study.metric))]
    kept: dict[str, np.ndarray] = {}
    if record["best_step"] == last["step"]:
        with np.load(folder.predictions) as arrays:
            kept = {name: arrays[name] for name in arrays.files}
    return Row(
        run, value, seconds, min(reached, default=None), kept.get("score_P"), kept.get("correct_M")
    )


def _reaches(study: Study, value: float | None) -> bool:
    if study.target is None or value is None:
        return False
    return value >= study.target if HIGHER_IS_BETTER[study.metric] else value <= study.target


def distorted_accuracy(study: Study, run: Run, stage: str) -> float:
    """Accuracy of the last checkpoint on dev images altered by `distorted`; measured once.

    Every run sees the same altered images: an image's are drawn from (0, 0, its number).
    """
    path = StageFolder(run.folder / stage).distorted
    steps = [step.model_dump(mode="json") for step in study.distorted]
    known = _read(path)
    if known is not None and known["distorted"] == steps:
        return known["accuracy"]
    from starter.data import load_catalog
    from starter.data.augment.pipeline import build_augment
    from starter.inference.embed import EmbedOptions, embed
    from starter.inference.evaluate import predict
    from starter.inference.open_stage import open_stage
    from starter.training import checkpoint

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
    checkpoint.write_json(path, {"distorted": steps, "accuracy": accuracy})
    return accuracy


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
