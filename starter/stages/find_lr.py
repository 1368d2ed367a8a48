"""find_lr(recipe): which learning rate a stage stands, on a copy that is thrown away.

The learning-rate range test (Smith 2017): rising rates, until the loss runs away.

Shapes: T updates.
"""

import csv
import dataclasses
import logging
import math
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from starter.data.batches import Batch
from starter.errors import UserError
from starter.recipe.schema import Recipe
from starter.report.training_figures import draw_range_test
from starter.runs.folder import RunFolder, StageFolder
from starter.stages.run import Run
from starter.stages.train import load_data
from starter.train_stage import prepare, update
from starter.training.build import build_batches
from starter.training.memory import shortage_told
from starter.training.schedules import ByStep
from starter.training.state import TrainState
from starter.training.trial import Update, endless, trial_step

log = logging.getLogger(__name__)


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


def find_lr(recipe: Recipe, stage: str | None = None) -> dict:
    """Runs the range test of a stage (the first) and draws it; the stage itself is not touched.

    Returns:
        stage, updates, suggested (None where the loss did not fall), override (the change for the
        command line), figure and csv (paths in the run folder), text.
    Raises:
        UserError: no such stage, or the one it starts from is not finished.
    """
    name = stage or next(iter(recipe.stages))
    if name not in recipe.stages:
        raise UserError(f"no stage {name!r} in the recipe; it has {', '.join(recipe.stages)}")
    folder = RunFolder(Path(recipe.runs) / recipe.name)
    test = _test(recipe, name)
    folder.path.mkdir(parents=True, exist_ok=True)
    with open(folder.find_lr(name, ".csv"), "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["lr", "loss", "smoothed"])
        rows.writerows(zip(test.lr_T, test.loss_T, test.smooth_T, strict=True))
    figure = folder.find_lr(name, ".png")
    draw_range_test(figure, test.lr_T, test.loss_T, test.smooth_T, test.suggested)
    return _outcome(folder, recipe, name, test)


def _test(recipe: Recipe, name: str) -> RangeTest:
    run = Run.of(recipe, load_data(recipe.data))
    with tempfile.TemporaryDirectory() as apart:
        job = run.job(name, StageFolder(Path(apart)))
        image_NHWC = job.pack()
        with closing(build_batches(job, image_NHWC)) as batches, shortage_told(job):
            state = prepare(job, image_NHWC, batches)
            return range_test(state, endless(batches), update)


def _outcome(folder: RunFolder, recipe: Recipe, name: str, test: RangeTest) -> dict:
    override = None
    if test.suggested is None:
        text = f"{name}: the loss did not fall at any rate: look at the batches and the labels"
    else:
        override = f"stages.{name}.optimizer.lr={test.suggested:g}"
        text = (
            f"{name}: suggested lr {test.suggested:g}, where the recipe has "
            f"{recipe.stages[name].optimizer.lr:g}; use it: {override}"
        )
    figure = folder.find_lr(name, ".png").as_posix()
    return {
        "stage": name,
        "updates": len(test.lr_T),
        "suggested": test.suggested,
        "override": override,
        "figure": figure,
        "csv": folder.find_lr(name, ".csv").as_posix(),
        "text": f"{text}\nfigure: {figure}",
    }


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
    lr_T, smooth_T = lr_T[: len(losses)], np.array(smooth)
    return RangeTest(lr_T, np.array(losses), smooth_T, suggest(lr_T, smooth_T))


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
