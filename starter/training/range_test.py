"""The learning-rate range test (Smith 2017): rising rates, until the loss runs away.

Shapes: T updates.
"""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from starter.data.batches import Batch
from starter.training.schedules import ByStep
from starter.training.state import TrainState
from starter.training.trial import Update, trial_step

UPDATES = 150
SMOOTHING = 0.9  # decay of the running mean of the loss
RUNAWAY = 2.0  # times the least smoothed loss: nothing higher will come back
BELOW_LEAST = 10  # the suggestion is this much below the rate with the least loss
FALLEN = 0.98  # of the first smoothed loss: less of a fall is none


@dataclass(frozen=True)
class RangeTest:
    """lr_T, loss_T and smooth_T float64; `suggested` is None where the loss did not fall."""

    lr_T: np.ndarray
    loss_T: np.ndarray
    smooth_T: np.ndarray
    suggested: float | None


def range_test(
    state: TrainState, batches: Iterable[Batch], update: Update, updates: int = UPDATES
) -> RangeTest:
    """Trains with a rate that grows from update to update; the state is spent after it.

    Over 6 decades: to 10 for SGD, else to 1. Ends early where the loss is not finite or far
    above the least. lr_scale, clipping and mixing act as in the stage; averages are left out.
    """
    section = state.section.optimizer
    high = 10.0 if section.kind in ("sgd", "SGD") else 1.0
    lr_T = high * np.logspace(-6, 0, updates)
    rising = ByStep(state.optimizer, section.lr, lambda step: lr_T[step] / section.lr)
    trial = dataclasses.replace(state, average=None, schedule=rising)
    losses: list[float] = []
    smooth: list[float] = []
    for step, batch in enumerate(islice(batches, updates)):
        loss = trial_step(trial, batch, update, step)["loss"].item()
        if not math.isfinite(loss):
            break
        losses.append(loss)
        smooth.append(smoothed(losses))
        if smooth[-1] > RUNAWAY * min(smooth):
            break
    found = np.array(losses), np.array(smooth)
    return RangeTest(lr_T[: len(losses)], *found, suggest(lr_T[: len(losses)], found[1]))


def smoothed(losses: list[float]) -> float:
    """The running mean at the last loss, free of its start at 0 (Adam's correction)."""
    age_T = np.arange(len(losses))[::-1]
    weight_T = SMOOTHING**age_T
    return float((weight_T * losses).sum() / weight_T.sum())


def suggest(lr_T: np.ndarray, smooth_T: np.ndarray) -> float | None:
    """A tenth of the rate with the least smoothed loss, to two digits."""
    if len(smooth_T) == 0 or smooth_T.min() > FALLEN * smooth_T[0]:
        return None
    return float(f"{lr_T[smooth_T.argmin()] / BELOW_LEAST:.1e}")
