"""Warns of a stage that learns nothing. Silent where it does; a loss that is not finite ends the
stage (`losses.py`)."""

import logging

import numpy as np

from starter.hooks.base import Hook
from starter.inference.evaluate import Evaluation
from starter.training.state import StageJob, TrainState

log = logging.getLogger(__name__)

FEW_UPDATES = 200  # before which nothing is said


class LossWatch(Hook):
    """Looks at the dev images' classes after warm-up, an epoch and FEW_UPDATES updates."""

    def __init__(self, job: StageJob):
        self.job, self._warned = job, False

    def after_evaluation(self, state: TrainState, evaluation: Evaluation) -> None:
        warm = self.job.section.schedule.warmup_epochs * state.per_epoch
        early = state.step < max(FEW_UPDATES, state.per_epoch, warm)
        if self._warned or early or evaluation.predicted_M is None:
            return
        label_M = self.job.catalog.label_N[self.job.catalog.index("dev")]
        message = verdict(label_M, evaluation.predicted_M)
        if message:
            self._warned = True
            log.warning("%s: after %d updates %s", self.job.name, state.step, message)


def verdict(label_M: np.ndarray, predicted_M: np.ndarray) -> str | None:
    """What is wrong with the predictions, or None. Labels and predictions int64 (M)."""
    count_K = np.bincount(label_M)
    if np.count_nonzero(count_K) < 2:
        return None
    if (predicted_M == predicted_M[0]).all():
        return f"all {len(label_M)} dev images are given one class"
    share = count_K.max() / len(label_M)  # what guessing the commonest class would reach
    chance = share * len(label_M) + 3 * np.sqrt(share * (1 - share) * len(label_M))
    right = int((label_M == predicted_M).sum())
    if right <= chance and len(label_M) * (1 - share) > 20:
        return (
            f"{right} of {len(label_M)} dev images are right, which guessing would reach too: look "
            "at the labels, or try optimizer.lr a tenth and ten times"
        )
    return None
