"""find_lr(recipe): which learning rate a stage stands, on a copy that is thrown away."""

import csv
import logging
import tempfile
from contextlib import closing
from pathlib import Path

from starter.data import load_pack
from starter.errors import UserError
from starter.recipe.schema import Recipe
from starter.report.training_figures import draw_range_test
from starter.runs.folder import RunFolder, StageFolder
from starter.stages.run import Run
from starter.stages.train import load_data
from starter.train_stage import prepare, update
from starter.training.build import build_batches
from starter.training.memory import shortage_told
from starter.training.range_test import RangeTest, range_test
from starter.training.trial import endless

log = logging.getLogger(__name__)


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
    found = _test(recipe, name)
    folder.path.mkdir(parents=True, exist_ok=True)
    with open(folder.find_lr(name, ".csv"), "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["lr", "loss", "smoothed"])
        rows.writerows(zip(found.lr_T, found.loss_T, found.smooth_T, strict=True))
    figure = folder.find_lr(name, ".png")
    draw_range_test(figure, found.lr_T, found.loss_T, found.smooth_T, found.suggested)
    return _told(folder, recipe, name, found)


def _test(recipe: Recipe, name: str) -> RangeTest:
    run = Run.of(recipe, load_data(recipe.data))
    with tempfile.TemporaryDirectory() as apart:
        job = run.job(name, StageFolder(Path(apart)))
        cache = Path(recipe.data.cache)
        image_NHWC = load_pack(run.catalog, job.image_size, recipe.data.channels, cache)
        with closing(build_batches(job, image_NHWC)) as batches, shortage_told(job):
            state = prepare(job, image_NHWC, batches)
            return range_test(state, endless(batches), update)


def _told(folder: RunFolder, recipe: Recipe, name: str, found: RangeTest) -> dict:
    override = None
    if found.suggested is None:
        text = f"{name}: the loss did not fall at any rate: look at the batches and the labels"
    else:
        override = f"stages.{name}.optimizer.lr={found.suggested:g}"
        text = (
            f"{name}: suggested lr {found.suggested:g}, where the recipe has "
            f"{recipe.stages[name].optimizer.lr:g}; use it: {override}"
        )
    figure = folder.find_lr(name, ".png").as_posix()
    return {
        "stage": name,
        "updates": len(found.lr_T),
        "suggested": found.suggested,
        "override": override,
        "figure": figure,
        "csv": folder.find_lr(name, ".csv").as_posix(),
        "text": f"{text}\nfigure: {figure}",
    }
