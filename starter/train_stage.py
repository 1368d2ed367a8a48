"""One stage, start to end: build or resume, train, evaluate, checkpoint."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from starter import distributed
from starter.data import load_pack
from starter.data.batches import Batch, TrainBatches
from starter.errors import Interrupted
from starter.hooks import data_wait
from starter.hooks.progress import LOG_EVERY, MetricsFile, Progress
from starter.hooks.report_data import (
    keep_first_batch,
    keep_projector,
    keep_result,
    keep_target_angles,
)
from starter.inference.evaluate import HIGHER_IS_BETTER, Evaluation, better, evaluate, monitored
from starter.training import checkpoint
from starter.training.build import StageJob, build_batches, build_setup, embed_options
from starter.training.memory import peak_gb, start_peak, with_micro_batch
from starter.training.minutes import with_length
from starter.training.position import Position, resume, save
from starter.training.step import Setup, train_step

log = logging.getLogger(__name__)


def run_stage(job: StageJob) -> Evaluation:
    """Trains the stage to its end, from its last checkpoint where there is one.

    Returns:
        The evaluation of the best checkpoint, also saved in `<stage>/predictions`.
    Raises:
        Interrupted: `job.stop` gave a reason; a checkpoint was written.
        UserError: the data, the recipe or the run cannot go on; nothing is lost.
    """
    image_NHWC = load_pack(job.catalog, job.image_size, job.recipe.data.channels, job.cache)
    batches = build_batches(job, image_NHWC)
    try:
        setup = build_setup(job, image_NHWC, batches)
        setup = with_micro_batch(job, setup, batches)
        setup = with_length(job, setup, batches, image_NHWC)
        position = resume(job, setup)
        _train(job, setup, batches, image_NHWC, position)
    finally:
        batches.close()
    best = checkpoint.find(job.folder, "best")
    assert best is not None
    setup.evaluated.load_state_dict(best.weights())
    found = _evaluate(job, setup, image_NHWC)
    if distributed.is_main():
        _save_predictions(job, found)
    options = embed_options(job, setup.precision)
    keep_result(job.folder, setup.evaluated, job.catalog, image_NHWC, options, found)
    if "tensorboard" in job.recipe.track:
        keep_projector(job.folder, job.catalog, image_NHWC, found)
    return found


def _train(
    job: StageJob,
    setup: Setup,
    batches: TrainBatches,
    image_NHWC,
    position: Position,
) -> None:
    section, per_epoch = job.section, batches.batches_per_epoch
    metrics = MetricsFile(job.folder.metrics, job.after_row)
    progress = Progress(job.name, setup.steps, position.step)
    frozen_steps = round(section.freeze.backbone * per_epoch)
    try:
        while position.step < setup.steps:
            epoch, start = divmod(position.step, per_epoch)
            clock = _Clock(position)
            start_peak(job.device)
            for batch in clock.waiting(batches.epoch(epoch, start)):
                setup.learner.set_training(
                    backbone_frozen=position.step < frozen_steps,
                    batchnorm_frozen=section.freeze.batchnorm,
                )
                if position.step == 0:
                    keep_first_batch(job.folder, batch, image_NHWC, job.catalog.classes)
                rate = setup.schedule.set(position.step)
                losses = train_step(setup, batch.image_BHWC, batch.label_B, position.step)
                position.meter.add(position.step, rate, losses)
                position.step += 1
                position.images += len(batch.label_B) * distributed.world_size()
                if position.step % LOG_EVERY == 0 or position.step % per_epoch == 0:
                    shown = position.meter.end_interval()
                    progress.update(position.step, shown, rate)
                    row = {"kind": "interval", "step": position.step, "lr": rate, **shown}
                    metrics.write(row)
                if position.step % per_epoch == 0:
                    break
                _pause(job, setup, position, clock)
            clock.stop()
            means = position.meter.end_epoch()
            _end_epoch(job, setup, image_NHWC, metrics, position, clock, epoch, means)
            _pause(job, setup, position, None)
    finally:
        progress.close()


class _Clock:
    """Seconds of training and of waiting for data, evaluation and checkpoints apart."""

    def __init__(self, position: Position):
        self.position = position
        self.waited = 0.0
        self.images = position.images
        self._start = time.perf_counter()
        self.seconds = 0.0

    def waiting(self, iterator: Iterator[Batch]) -> Iterator[Batch]:
        """Passes the batches on, timing how long each takes to come."""
        while True:
            start = time.perf_counter()
            batch = next(iterator, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def stop(self) -> None:
        """Adds the time since the start to the position."""
        self.seconds += time.perf_counter() - self._start
        self.position.seconds += time.perf_counter() - self._start
        self._start = time.perf_counter()

    def measured(self) -> dict[str, float]:
        """Images a second and the share of the time spent waiting, since the clock began."""
        seconds = max(self.seconds, 1e-9)
        return {
            "images_per_second": (self.position.images - self.images) / seconds,
            "data_wait": self.waited / seconds,
        }


def _pause(job: StageJob, setup: Setup, position: Position, clock: _Clock | None) -> None:
    """Checkpoints inside an epoch when it is time to, and stops when asked to."""
    reason = distributed.agreed(job.stop())
    every = job.section.checkpoint_steps
    if clock is not None and (reason or (every and position.step % every == 0)):
        clock.stop()
        save(job, setup, position, {})
        clock._start = time.perf_counter()
    if reason and position.step < setup.steps:
        raise Interrupted(f"{reason}: stopped after update {position.step} of {setup.steps}")


def _end_epoch(
    job: StageJob,
    setup: Setup,
    image_NHWC,
    metrics: MetricsFile,
    position: Position,
    clock: _Clock,
    epoch: int,
    means: dict[str, float],
) -> None:
    epochs = setup.section.epochs
    assert epochs is not None
    last = epoch + 1 == epochs
    due = last or (epoch + 1) % job.section.evaluate_every == 0
    row: dict[str, Any] = {"kind": "epoch", "step": position.step, "epoch": epoch + 1}
    row |= means
    measured: dict[str, float | None] = {}
    if due:
        found = _evaluate(job, setup, image_NHWC)
        keep_target_angles(job.folder, position.step, setup.evaluated, job.catalog, found)
        measured = found.metrics
        name, value = monitored(measured, job.section.monitor)
        setup.schedule.after_evaluation(value, less_is_better=not HIGHER_IS_BETTER[name])
        if better(value, position.best_value, name):
            position.best_step, position.best_value = position.step, value
    if position.best_value is None:  # nothing to measure by, or not yet: the latest is the best
        position.best_step = position.step
    row |= measured | clock.measured() | {"peak_memory_gb": peak_gb(job.device)}
    if advice := data_wait.on_waiting(row["data_wait"], job):
        row["advice"] = advice
    metrics.write(row)
    log.info("%s", _line(job.name, epoch + 1, epochs, row))
    save(job, setup, position, measured)
    job.after_epoch()


def _line(stage: str, epoch: int, epochs: int, row: dict) -> str:
    """What every epoch has first, in columns; what only an evaluated one has behind it."""
    parts = [
        f"{stage} epoch {epoch:>{len(str(epochs))}}/{epochs}",
        f"loss {row['loss']:7.3f}",
        f"{row['images_per_second']:6.0f} images/s",
        f"waiting for data {100 * row['data_wait']:2.0f} %",
    ]
    if row["peak_memory_gb"] is not None:
        parts.append(f"memory {row['peak_memory_gb']:4.1f} GB")
    parts += [
        f"{label} {100 * row[key]:6.2f} %"
        for key, label in (("accuracy", "accuracy"), ("eer", "EER"), ("auc", "AUC"))
        if row.get(key) is not None
    ]
    if "advice" in row:
        parts.append(row["advice"])
    return "  ".join(parts)


def _evaluate(job: StageJob, setup: Setup, image_NHWC: np.ndarray) -> Evaluation:
    options = embed_options(job, setup.precision)
    return evaluate(setup.evaluated, job.catalog, image_NHWC, options)


def _save_predictions(job: StageJob, found: Evaluation) -> None:
    job.folder.predictions.parent.mkdir(exist_ok=True)
    named = {
        "correct_M": found.correct_M,
        "predicted_M": found.predicted_M,
        "score_P": found.score_P,
    }
    arrays: dict[str, Any] = {k: v for k, v in named.items() if v is not None}
    np.savez(job.folder.predictions, **arrays)
