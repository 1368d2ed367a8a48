"""train(recipe): all stages in order, continued where they stand."""

import contextlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from starter import distributed
from starter.data import SPLITS, Catalog, load_catalog, load_pack
from starter.data.augment import build_augment
from starter.data.demo import ensure_demo
from starter.data.samplers import epoch_order
from starter.errors import Interrupted, UserError
from starter.files import write_text
from starter.hooks import Hooks
from starter.hooks.loss_watch import LossWatch
from starter.hooks.metrics_file import MetricsFile
from starter.hooks.progress import Progress
from starter.hooks.redraw import Redraw, draw_report
from starter.hooks.report_data import ReportData
from starter.hooks.stop import Stopper
from starter.hooks.trackers import Trackers, check_trackers
from starter.inference.evaluate import Evaluation
from starter.metrics import monitored, try_out
from starter.models import check_rules
from starter.recipe import to_yaml
from starter.recipe.named import raise_all
from starter.recipe.schema import Recipe
from starter.recipe.shares import refuse_uneven
from starter.runs.folder import RunFolder, StageFolder
from starter.runs.provenance import code_difference, environment
from starter.runs.records import Best, Meta, Stage, StageSummary, Summary
from starter.stages.gate import decide
from starter.stages.standing import (
    descendants,
    discard,
    parent_of,
    refuse_changed,
    stage_record,
)
from starter.train_stage import train_stage
from starter.training.build import build_learner
from starter.training.checkpoint import find
from starter.training.initialise import load_embedder
from starter.training.memory import shortage_told
from starter.training.minutes import epochs_of
from starter.training.precision import pick_device
from starter.training.resolve import resolve
from starter.training.state import StageJob

log = logging.getLogger(__name__)


def train(recipe: Recipe, *, stage: str | None = None, fresh: str | None = None) -> dict:
    """Runs every stage of the recipe (or `stage` alone) that is not finished.

    Args:
        recipe: the resolved recipe.
        stage: run only this stage; the one it starts from must be finished.
        fresh: discard this stage and its descendants first.
    Returns:
        The summary, also in runs/<name>/summary.json.
    Raises:
        UserError: bad data or recipe, or a stage that was trained with other settings.
        SystemExit: in one of several processes, where another raises what went wrong.
        Interrupted: a signal or `max_hours`; the same call continues.
    """
    recipe = resolve(recipe)
    for name in filter(None, (stage, fresh)):
        if name not in recipe.stages:
            raise UserError(f"no stage {name!r} in the recipe; it has {', '.join(recipe.stages)}")
    check_trackers(recipe.track)
    folder = RunFolder(Path(recipe.runs) / recipe.name)
    names = [stage] if stage else list(recipe.stages)
    discarded = [fresh, *descendants(recipe, fresh)] if fresh else []
    with distributed.joined(), Stopper() as stopper, contextlib.ExitStack() as until_the_end:
        with distributed.local_first():  # downloads, where the recipe asks for it
            catalog = load_data(recipe)
        _preflight(folder, recipe, names, catalog)
        refuse_changed(folder, recipe, catalog, discarded)
        device = pick_device()

        def begin() -> None:
            until_the_end.enter_context(folder.held())
            discard(folder, recipe, catalog, discarded)
            _describe(folder, recipe, device)

        distributed.main_does(begin)
        try:
            for name in names:
                _run(folder, recipe, name, catalog, device, stopper)
        except Interrupted as error:
            if distributed.is_main():
                draw_report(folder.path, live=True)
            if fresh:
                raise Interrupted(f"{error}; leave out --fresh {fresh} from now on") from None
            raise
    return folder.read_summary().model_dump(mode="json")


def load_data(recipe: Recipe) -> Catalog:
    """The recipe's catalog; the built-in competition is drawn first where it is asked for."""
    if recipe.data.demo is not None:
        ensure_demo(recipe.data.demo, Path(recipe.data.root))
    catalog = load_catalog(recipe.data)
    counts = np.bincount(catalog.split_N, minlength=len(SPLITS))
    parts = [f"{count} {name}" for name, count in zip(SPLITS, counts, strict=True) if count]
    parts += [
        f"{len(pairs.a_P)} {'labelled' if pairs.same_P is not None else 'unlabelled'} {name} pairs"
        for name, pairs in catalog.pairs.items()
    ]
    log.info("data: %d classes; images: %s", len(catalog.classes), ", ".join(parts))
    return catalog


def _preflight(folder: RunFolder, recipe: Recipe, names: list[str], catalog: Catalog) -> None:
    """Finds in seconds what would otherwise stop a later stage after hours."""
    for name in names:
        section = recipe.stages[name]
        refuse_uneven(name, section, distributed.world_size())
        size = section.image_size or recipe.data.image_size
        steps = recipe.augment if section.augment is None else section.augment
        build_augment(steps, size, recipe.data.channels)
        epoch_order(
            section.sampler,
            catalog.label_N,
            catalog.index("train"),
            batch_size=section.batch_size,
            seed=0,
            epoch=0,
        )
        raise_all(try_out(section, catalog.answers or len(catalog.classes)))
        learner = build_learner(recipe, name, len(catalog.classes), size)
        terms = list(learner.objective.terms.values())
        log.info("%s: %s", name, check_rules(learner.embedder, terms, recipe.rules))
        if section.init is not None and section.init not in recipe.stages:
            parent = parent_of(folder, recipe, name)
            assert parent is not None
            load_embedder(learner.embedder, parent)


def _describe(folder: RunFolder, recipe: Recipe, device: torch.device) -> None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    folder.path.mkdir(parents=True, exist_ok=True)
    write_text(folder.recipe, to_yaml(recipe))
    ran_on = environment(name, torch.get_num_threads(), distributed.world_size())
    ran_on.write(folder.environment)
    difference = code_difference()
    if difference is not None:
        write_text(folder.code_difference, difference + "\n")


def _run(
    folder: RunFolder,
    recipe: Recipe,
    name: str,
    catalog: Catalog,
    device: torch.device,
    stopper: Stopper,
) -> None:
    """Runs one stage unless it is finished, then lets the gate decide."""
    section, place = recipe.stages[name], folder.stage(name)
    parent = parent_of(folder, recipe, name)
    record = stage_record(folder, recipe, name, catalog, parent)
    trackers = Trackers(recipe, folder, name)
    if record.finished:
        log.info("%s: already finished, skipping", name)
        trackers.catch_up()
        return
    reason = distributed.agreed(stopper.reason(section.max_hours))
    if reason:
        raise Interrupted(f"{reason}: stopped before stage {name}")

    def begin() -> None:
        place.path.mkdir(parents=True, exist_ok=True)
        record.write(place.record)

    distributed.main_does(begin)
    job = StageJob(name, place, recipe, catalog, parent, device)
    with distributed.local_first():
        load_pack(catalog, job.image_size, recipe.data.channels, Path(recipe.data.cache))
    # In this order: the trackers read the row that the file was given.
    listeners = [
        MetricsFile(place.metrics),
        Progress(job),
        LossWatch(job),
        ReportData(job),
        trackers,
        Redraw(folder.path),
    ]
    hooks = Hooks(job, listeners, stop=lambda: stopper.reason(section.max_hours))
    with stopper.listening(), shortage_told(job):
        evaluation = train_stage(job, hooks)
    distributed.main_does(lambda: _finish(folder, recipe, name, catalog, evaluation, record))
    trackers.finish()


def _finish(
    folder: RunFolder,
    recipe: Recipe,
    name: str,
    catalog: Catalog,
    evaluation: Evaluation,
    record: Stage,
) -> None:
    """Asks the gate, writes the stage's summary, moves the run's best, marks the stage finished.

    Finished comes last: a kill before it has all of this done again.
    """
    place = folder.stage(name)
    best, last = find(place, "best"), find(place, "last")
    assert best is not None and last is not None
    _save_predictions(place, evaluation)
    decision = decide(folder, recipe, name, catalog, evaluation)
    taken = name if decision.take else folder.read_best()
    stages = folder.read_summary().stages
    stages[name] = _stage_summary(folder, recipe, name, catalog, evaluation, last.meta)
    order = [*recipe.stages, *(other for other in stages if other not in recipe.stages)]
    Best(stage=taken).write(folder.best)
    Summary(stages={n: stages[n] for n in order if n in stages}, best=taken).write(folder.summary)
    done = Stage(
        hash=record.hash,
        inputs=record.inputs,
        finished=True,
        best_step=best.step,
        metrics=evaluation.metrics,
        gate=decision.text,
    )
    done.write(place.record)
    log.info("%s: %s", name, decision.text)


def _save_predictions(place: StageFolder, evaluation: Evaluation) -> None:
    """The arrays that the gate compares a later stage with."""
    arrays: dict[str, Any] = {
        name: array
        for name in ("correct_M", "predicted_M", "score_P")
        if (array := getattr(evaluation, name)) is not None
    }
    place.predictions.parent.mkdir(exist_ok=True)
    np.savez(place.predictions, **arrays)


def _stage_summary(
    folder: RunFolder,
    recipe: Recipe,
    name: str,
    catalog: Catalog,
    evaluation: Evaluation,
    meta: Meta,
) -> StageSummary:
    section, seconds = recipe.stages[name], meta.seconds
    size = section.image_size or recipe.data.image_size
    learner = build_learner(recipe, name, len(catalog.classes), size)
    return StageSummary(
        epochs=epochs_of(section, folder.stage(name)),
        seconds=round(seconds, 1),
        images_per_second=round(meta.images / max(seconds, 1e-9), 1),
        parameters=sum(p.numel() for p in learner.parameters()),
        accuracy=evaluation.metrics["accuracy"],
        eer=evaluation.metrics["eer"],
        auc=evaluation.metrics["auc"],
        monitor=monitored(evaluation.metrics, section.monitor)[1],
    )
