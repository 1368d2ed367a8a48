"""find_lr(recipe): which learning rate a stage stands, on a copy that is thrown away."""

import csv
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from starter.errors import UserError
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder, StageFolder

if TYPE_CHECKING:  # imports torch
    from starter.training.range_test import RangeTest

log = logging.getLogger(__name__)


def find_lr(recipe: Recipe, stage: str | None = None) -> dict:
    """Runs the range test of a stage (the first) and draws it; the stage itself is not touched.

    Returns:
        stage, updates, suggested (None where the loss did not fall), override (the change for the
        command line), figure and csv (paths in the run folder), text.
    Raises:
        UserError: no such stage, or the one it starts from is not finished.
    """
    from starter.report.range_test import draw_range_test
    from starter.training.resolve import resolve

    recipe = resolve(recipe)
    name = stage or next(iter(recipe.stages))
    if name not in recipe.stages:
        raise UserError(f"no stage {name!r} in the recipe; it has {', '.join(recipe.stages)}")
    folder = RunFolder(Path(recipe.runs) / recipe.name)
    found = _test(folder, recipe, name)
    folder.path.mkdir(parents=True, exist_ok=True)
    with open(folder.find_lr(name, ".csv"), "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["lr", "loss", "smoothed"])
        rows.writerows(zip(found.lr_T, found.loss_T, found.smooth_T, strict=True))
    figure = folder.find_lr(name, ".png")
    draw_range_test(figure, found.lr_T, found.loss_T, found.smooth_T, found.suggested)
    return _told(folder, recipe, name, found)


def _test(folder: RunFolder, recipe: Recipe, name: str) -> "RangeTest":
    from starter.data import load_catalog, load_pack
    from starter.stages.standing import parent_of
    from starter.stages.train import draw_demo
    from starter.training.build import StageJob, build_batches, build_setup
    from starter.training.memory import shortage_told, with_micro_batch
    from starter.training.precision import pick_device
    from starter.training.range_test import range_test
    from starter.training.trial import endless

    draw_demo(recipe)
    catalog = load_catalog(recipe.data)
    with tempfile.TemporaryDirectory() as apart:
        job = StageJob(
            name=name,
            folder=StageFolder(Path(apart)),
            recipe=recipe,
            catalog=catalog,
            cache=Path(recipe.data.cache),
            parent=parent_of(folder, recipe, name),
            device=pick_device(),
        )
        image_NHWC = load_pack(catalog, job.image_size, recipe.data.channels, job.cache)
        batches = build_batches(job, image_NHWC)
        try:
            with shortage_told(job):
                setup = build_setup(job, image_NHWC, batches)
                setup = with_micro_batch(job, setup, batches)
                return range_test(setup, endless(batches))
        finally:
            batches.close()


def _told(folder: RunFolder, recipe: Recipe, name: str, found: "RangeTest") -> dict:
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
