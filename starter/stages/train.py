"""train(recipe): all stages in order, tried out first, continued where they stand."""

import contextlib
import logging
from pathlib import Path

import numpy as np
import torch

from starter import distributed
from starter.data import SPLITS, Catalog, load_catalog
from starter.data.augment import build_augment
from starter.data.demo import ensure_demo
from starter.data.samplers import epoch_order
from starter.errors import Interrupted, UserError
from starter.files import write_text
from starter.hooks import Hooks
from starter.hooks.progress import LossWatch, Progress
from starter.hooks.report import Redraw, ReportData, draw_report
from starter.hooks.stop import Stopper
from starter.hooks.trackers import MetricsFile, Trackers, check_trackers
from starter.metrics import try_out
from starter.models import check_rules
from starter.recipe import to_yaml
from starter.recipe.named import raise_all
from starter.recipe.schema import Recipe
from starter.recipe.schema.data import DataSection
from starter.recipe.schema.train import refuse_uneven
from starter.runs.provenance import code_difference, environment
from starter.runs.records import Summary
from starter.stages.answer import foresee
from starter.stages.finish import finish
from starter.stages.run import Run
from starter.stages.standing import descendants, discard, refuse_changed, stage_record
from starter.train_stage import train_stage
from starter.training.initialise import load_embedder
from starter.training.memory import shortage_told

log = logging.getLogger(__name__)


def train(recipe: Recipe, *, stage: str | None = None, fresh: str | None = None) -> Summary:
    """Runs every stage of the recipe (or `stage` alone) that is not finished.

    Args:
        recipe: resolved.
        stage: run only this stage; the one it starts from must be finished.
        fresh: discard this stage and its descendants first.
    Returns:
        The summary, also in runs/<name>/summary.json.
    Raises:
        UserError: bad data or recipe, or a stage that was trained with other settings.
        SystemExit: in one of several processes, where another raises what went wrong.
        Interrupted: a signal or `max_hours`; the same call continues.
    """
    for name in filter(None, (stage, fresh)):
        if name not in recipe.stages:
            raise UserError(f"no stage {name!r} in the recipe; it has {', '.join(recipe.stages)}")
    check_trackers(recipe.track)
    names = [stage] if stage else list(recipe.stages)
    discarded = [fresh, *descendants(recipe, fresh)] if fresh else []
    with distributed.joined(), Stopper() as stopper, contextlib.ExitStack() as until_the_end:
        with distributed.local_first():  # downloads, where the recipe asks for it
            run = Run.of(recipe, load_data(recipe.data))
        preflight(run, names)
        refuse_changed(run, discarded)

        def begin() -> None:
            until_the_end.enter_context(run.folder.held())
            discard(run, discarded)
            _describe(run)
            foresee(recipe, run.catalog)

        distributed.main_does(begin)
        try:
            for name in names:
                _train_one(run, name, stopper)
        except Interrupted as error:
            if distributed.is_main():
                draw_report(run.folder.path, live=True)
            if fresh:
                raise Interrupted(f"{error}; leave out --fresh {fresh} from now on") from None
            raise
    return run.folder.read_summary()


def load_data(data: DataSection) -> Catalog:
    """The recipe's catalog; the built-in competition is drawn first where it is asked for."""
    if data.demo is not None:
        ensure_demo(data.demo, Path(data.root))
    catalog = load_catalog(data)
    counts = np.bincount(catalog.split_N, minlength=len(SPLITS))
    parts = [f"{count} {name}" for name, count in zip(SPLITS, counts, strict=True) if count]
    parts += [
        f"{len(pairs.a_P)} {'labelled' if pairs.same_P is not None else 'unlabelled'} {name} pairs"
        for name, pairs in catalog.pairs.items()
    ]
    log.info("data: %d classes; images: %s", len(catalog.classes), ", ".join(parts))
    return catalog


def _describe(run: Run) -> None:
    """The recipe, what it is run on, and what the code differs by from its commit."""
    cuda = run.device.type == "cuda"
    device = torch.cuda.get_device_name(run.device) if cuda else "CPU"
    run.folder.path.mkdir(parents=True, exist_ok=True)
    write_text(run.folder.recipe, to_yaml(run.recipe))
    threads, processes = torch.get_num_threads(), distributed.world_size()
    environment(device, threads, processes).write(run.folder.environment)
    difference = code_difference()
    if difference is not None:
        write_text(run.folder.code_difference, difference + "\n")


def _train_one(run: Run, name: str, stopper: Stopper) -> None:
    """Runs one stage unless it is finished, then lets the gate decide."""
    max_hours, place = run.recipe.stages[name].max_hours, run.folder.stage(name)
    job = run.job(name)
    record = stage_record(run, name, job.parent)
    trackers = Trackers(run.recipe, run.folder, name)
    if record.finished:
        log.info("%s: already finished, skipping", name)
        trackers.catch_up()
        return
    reason = distributed.agreed(stopper.reason(max_hours))
    if reason:
        raise Interrupted(f"{reason}: stopped before stage {name}")

    def begin() -> None:
        place.path.mkdir(parents=True, exist_ok=True)
        record.write(place.record)

    distributed.main_does(begin)
    with distributed.local_first():
        job.pack()
    # What listens to the page; add your own here. The trackers read what the first has written.
    metrics, redraw = MetricsFile(place.metrics), Redraw(run.folder.path)
    listeners = [metrics, Progress(job), LossWatch(job), ReportData(job), trackers, redraw]
    hooks = Hooks(job, listeners, stop=lambda: stopper.reason(max_hours))
    with stopper.listening(), shortage_told(job):
        evaluation = train_stage(job, hooks)
    distributed.main_does(lambda: finish(run, name, evaluation, record))
    trackers.finish()


def preflight(run: Run, names: list[str]) -> None:
    """Tries out each stage's batches, augmentation, network, rules and metric. UserError where a
    stage cannot be trained."""
    recipe, catalog = run.recipe, run.catalog
    for name in names:
        section = recipe.stages[name]
        refuse_uneven(name, section, distributed.world_size())
        steps = recipe.augment if section.augment is None else section.augment
        build_augment(steps, section.image_size or recipe.data.image_size, recipe.data.channels)
        size, train_M = section.batch_size, catalog.index("train")
        epoch_order(section.sampler, catalog.label_N, train_M, batch_size=size, seed=0, epoch=0)
        raise_all(try_out(section, catalog.answers or len(catalog.classes)))
        learner = run.learner(name)
        terms = list(learner.objective.terms.values())
        log.info("%s: %s", name, check_rules(learner.embedder, terms, recipe.rules))
        if section.init is not None and section.init not in recipe.stages:
            parent = run.parent(name)
            assert parent is not None
            load_embedder(learner.embedder, parent)
