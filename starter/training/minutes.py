"""`minutes`: how many whole epochs fit, by what a stage measures of itself before it begins."""

import dataclasses
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch

from starter import distributed
from starter.data.batches import TrainBatches
from starter.runs.folder import StageFolder
from starter.training.resume import save
from starter.training.schedules import build_schedule
from starter.training.state import StageJob, TrainState
from starter.training.trial import Update, endless, no_trace, once, trial_step

log = logging.getLogger(__name__)

SHARE = 0.05  # of the minutes, at most, to measure the rate in, and as much to warm up
LONGEST = 20.0  # seconds of measuring, and of warming up
WARM_UP = 8  # updates: more than are fetched ahead, and the first ones compile and tune


@dataclass(frozen=True)
class Costs:
    """Seconds of one update, one evaluation and one checkpoint."""

    update: float
    evaluation: float
    checkpoint: float

    def seconds(self, epochs: int, per_epoch: int, evaluate_every: int) -> float:
        """Of a whole stage: an evaluation is due every so many epochs, at the end, and once more
        of the best checkpoint."""
        evaluations = -(-epochs // evaluate_every) + 1
        updates = epochs * per_epoch * self.update
        return updates + epochs * self.checkpoint + evaluations * self.evaluation

    def epochs_in(self, seconds: float, per_epoch: int, evaluate_every: int) -> int:
        """The most epochs that end in time; 1 where not even that does."""
        low, high = 1, 2
        while self.seconds(high, per_epoch, evaluate_every) <= seconds:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.seconds(middle, per_epoch, evaluate_every) <= seconds
            low, high = (middle, high) if fits else (low, middle)
        return low


def with_length(
    job: StageJob,
    state: TrainState,
    batches: TrainBatches,
    update: Update,
    evaluate: Callable[[], object],
) -> None:
    """Settles the length of a stage of `minutes`: it becomes a number of epochs.

    Measured once and saved with the stage's choices. The measuring is part of the minutes.
    """
    if job.section.minutes is None:
        return
    epochs = once(job.folder, "epochs", lambda: _measured(job, state, batches, update, evaluate))
    state.section = state.section.model_copy(update={"epochs": epochs})
    state.steps = epochs * state.per_epoch
    state.schedule = build_schedule(
        state.section.schedule,
        state.optimizer,
        state.section.optimizer.lr,
        state.per_epoch,
        state.steps,
    )


def _measured(
    job: StageJob,
    state: TrainState,
    batches: TrainBatches,
    update: Update,
    evaluate: Callable[[], object],
) -> int:
    minutes, every = job.section.minutes, job.section.evaluate_every
    assert minutes is not None
    began = _now(state.device)
    costs = measure(job, state, batches, update, evaluate, 60 * minutes)
    left = 60 * minutes - (_now(state.device) - began)
    # One clock for all processes, which must train as many epochs as each other.
    epochs = distributed.main_does(lambda: costs.epochs_in(left, state.per_epoch, every))
    images = min(state.section.batch_size, len(batches.index_M))
    expected = costs.seconds(epochs, state.per_epoch, every)
    log.info(
        "%s: minutes: %g -> %d epochs at %.0f images/s (an evaluation %.1f s, a checkpoint %.1f s)",
        job.name,
        minutes,
        epochs,
        images / costs.update,
        costs.evaluation,
        costs.checkpoint,
    )
    if expected > left:
        log.warning(
            "%s: 1 epoch (the minimum) takes about %s; of minutes: %g there are %s left",
            job.name,
            duration(expected),
            minutes,
            duration(max(left, 0.0)),
        )
    return epochs


def measure(
    job: StageJob,
    state: TrainState,
    batches: TrainBatches,
    update: Update,
    evaluate: Callable[[], object],
    budget: float,
) -> Costs:
    """Takes real updates on real batches, one evaluation and one checkpoint, leaving no trace.

    budget: seconds of the stage, of which a small part is spent on this.
    """
    most = min(SHARE * budget, LONGEST)
    with no_trace(state), closing(endless(batches)) as stream:
        step = 0
        began = mark = _now(state.device)
        while step == 0 or (step < WARM_UP and mark - began < most):
            trial_step(state, next(stream), update)
            step, mark = step + 1, _now(state.device)
        # The device is waited for now and then only, as in training.
        done, at_once, start = 0, 1, mark
        while done == 0 or mark - start < most:
            for _ in range(at_once):
                trial_step(state, next(stream), update)
            done, at_once, mark = done + at_once, min(2 * at_once, 16), _now(state.device)
    began = _now(state.device)
    evaluate()
    evaluated = _now(state.device)
    _save_apart(job, state)
    return Costs((mark - start) / done, evaluated - began, _now(state.device) - evaluated)


def _save_apart(job: StageJob, state: TrainState) -> None:
    """Writes a checkpoint beside the stage's own, on the same disk, and removes it."""
    apart = dataclasses.replace(job, folder=StageFolder(job.folder.trials))
    try:
        apart.folder.path.mkdir(exist_ok=True)
        save(apart, state, {}, {})
    finally:
        shutil.rmtree(apart.folder.path, ignore_errors=True)


def _now(device: torch.device) -> float:
    """Seconds on this process's clock, once the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 12 min, 3 h 05."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d}"
