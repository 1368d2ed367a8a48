"""train(recipe): all stages in order, continued where they stand."""

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from starter.distributed import joined
from starter.errors import UserError
from starter.hooks.redraw import Redraw, draw_report
from starter.hooks.stop import Stopper
from starter.hooks.trackers import Trackers, check_trackers
from starter.recipe import to_yaml
from starter.recipe.schema import Recipe
from starter.recipe.shares import refuse_uneven
from starter.runs.folder import RunFolder
from starter.runs.provenance import code_difference, environment
from starter.stages.standing import descendants, discard, parent_of, refuse_changed, stage_record

if TYPE_CHECKING:  # these import torch
    import torch

    from starter.data import Catalog
    from starter.inference.evaluate import Evaluation

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
        starter.training.Interrupted: a signal or `max_hours`; the same call continues.
    """
    with joined():
        return _train(recipe, stage, fresh)


def _train(recipe: Recipe, stage: str | None, fresh: str | None) -> dict:
    from starter import distributed
    from starter.data import load_catalog
    from starter.errors import Interrupted
    from starter.training.precision import pick_device
    from starter.training.resolve import resolve

    recipe = resolve(recipe)
    for name in filter(None, (stage, fresh)):
        if name not in recipe.stages:
            raise UserError(f"no stage {name!r} in the recipe; it has {', '.join(recipe.stages)}")
    check_trackers(recipe.track)
    folder = RunFolder(Path(recipe.runs) / recipe.name)
    names = [stage] if stage else list(recipe.stages)
    discarded = [fresh, *descendants(recipe, fresh)] if fresh else []
    with Stopper() as stopper, contextlib.ExitStack() as until_the_end:
        with distributed.local_first():  # downloads, where the recipe asks for it
            draw_demo(recipe)
            catalog = load_catalog(recipe.data)
        _log_catalog(catalog)
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
    return folder.read_summary()


def draw_demo(recipe: Recipe) -> None:
    if recipe.data.demo is not None:
        from starter.data.demo import ensure_demo

        ensure_demo(recipe.data.demo, Path(recipe.data.root))


def _log_catalog(catalog: "Catalog") -> None:
    from starter.data import SPLITS

    counts = np.bincount(catalog.split_N, minlength=len(SPLITS))
    parts = [f"{count} {name}" for name, count in zip(SPLITS, counts, strict=True) if count]
    parts += [
        f"{len(pairs.a_P)} {'labelled' if pairs.same_P is not None else 'unlabelled'} {name} pairs"
        for name, pairs in catalog.pairs.items()
    ]
    log.info("data: %d classes; images: %s", len(catalog.classes), ", ".join(parts))


def _preflight(folder: RunFolder, recipe: Recipe, names: list[str], catalog: "Catalog") -> None:
    """Finds in seconds what would otherwise stop a later stage after hours."""
    from starter import distributed
    from starter.data.augment import choose
    from starter.data.augment.pipeline import build_augment
    from starter.data.samplers import epoch_order
    from starter.models import check_rules
    from starter.training.build import build_learner
    from starter.training.initialise import load_embedder

    for name in names:
        section = recipe.stages[name]
        refuse_uneven(name, section, distributed.world_size())
        size = section.image_size or recipe.data.image_size
        steps = recipe.augment if section.augment is None else section.augment
        build_augment(steps, size, recipe.data.channels)
        if section.augment_on == "device":
            choose("device", steps, size, recipe.data.channels, "cpu")
        epoch_order(
            section.sampler,
            catalog.label_N,
            catalog.index("train"),
            batch_size=section.batch_size,
            seed=0,
            epoch=0,
        )
        learner = build_learner(recipe, name, len(catalog.classes), size)
        terms = list(learner.objective.terms.values())
        log.info("%s: %s", name, check_rules(learner.embedder, terms, recipe.rules))
        if section.init is not None and section.init not in recipe.stages:
            parent = parent_of(folder, recipe, name)
            assert parent is not None
            load_embedder(learner.embedder, parent)


def _describe(folder: RunFolder, recipe: Recipe, device: "torch.device") -> None:
    import torch

    from starter import distributed
    from starter.files import write_json

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.recipe).write_text(to_yaml(recipe), encoding="utf-8")
    found = environment(name, torch.get_num_threads()) | {"processes": distributed.world_size()}
    write_json(folder.environment, found)
    difference = code_difference()
    if difference is not None:
        (folder.code_difference).write_text(difference + "\n", encoding="utf-8")


def _run(
    folder: RunFolder,
    recipe: Recipe,
    name: str,
    catalog: "Catalog",
    device: "torch.device",
    stopper: Stopper,
) -> None:
    """Runs one stage unless it is finished, then lets the gate decide."""
    from starter import distributed
    from starter.data import load_pack
    from starter.errors import Interrupted
    from starter.files import write_json
    from starter.train_stage import run_stage
    from starter.training.build import StageJob
    from starter.training.memory import shortage_told

    section = recipe.stages[name]
    parent = parent_of(folder, recipe, name)
    record = stage_record(folder, recipe, name, catalog, parent)
    tracked = recipe if distributed.is_main() else recipe.model_copy(update={"track": ()})
    trackers = Trackers(tracked, folder, name)
    if record["finished"]:
        log.info("%s: finished before, not run again", name)
        if trackers.missing:
            with trackers:
                trackers.finish()
        return
    reason = distributed.agreed(stopper.reason(section.max_hours))
    if reason:
        raise Interrupted(f"{reason}: stopped before stage {name}")

    def begin() -> None:
        folder.stage(name).path.mkdir(parents=True, exist_ok=True)
        write_json(folder.stage(name).record, record)

    distributed.main_does(begin)
    job = StageJob(
        name=name,
        folder=folder.stage(name),
        recipe=recipe,
        catalog=catalog,
        cache=Path(recipe.data.cache),
        parent=parent,
        device=device,
        stop=lambda: stopper.reason(section.max_hours),
        after_row=trackers.follow,
        after_epoch=Redraw(folder.path) if distributed.is_main() else lambda: None,
    )
    with distributed.local_first():
        load_pack(catalog, job.image_size, recipe.data.channels, job.cache)
    with stopper.listening(), shortage_told(job), trackers:
        found = run_stage(job)
    distributed.main_does(lambda: _finish(folder, recipe, name, catalog, found, record))
    trackers.finish()


def _finish(
    folder: RunFolder,
    recipe: Recipe,
    name: str,
    catalog: "Catalog",
    found: "Evaluation",
    record: dict,
) -> None:
    """Asks the gate, writes the stage's summary, moves the run's best, marks the stage finished.

    Finished comes last: a kill before it has all of this done again.
    """
    from starter.files import write_json
    from starter.stages.gate import decide
    from starter.training.checkpoint import find

    best, last = find(folder.stage(name), "best"), find(folder.stage(name), "last")
    assert best is not None and last is not None
    decision = decide(folder, recipe, name, catalog, found)
    taken = name if decision.take else folder.read_best()
    stages = folder.read_summary()["stages"]
    stages[name] = _stage_summary(folder, recipe, name, catalog, found, last.resume())
    order = [*recipe.stages, *(other for other in stages if other not in recipe.stages)]
    summary = {"stages": {n: stages[n] for n in order if n in stages}, "best": taken}
    write_json(folder.best, {"stage": taken})
    write_json(folder.summary, summary)
    write_json(
        folder.stage(name).record,
        record
        | {
            "finished": True,
            "best_step": best.step,
            "metrics": found.metrics,
            "gate": decision.text,
        },
    )
    log.info("%s: %s", name, decision.text)


def _stage_summary(
    folder: RunFolder,
    recipe: Recipe,
    name: str,
    catalog: "Catalog",
    found: "Evaluation",
    state: dict,
) -> dict:
    from starter.inference.evaluate import monitored
    from starter.training.build import build_learner
    from starter.training.minutes import epochs_of

    section = recipe.stages[name]
    size = section.image_size or recipe.data.image_size
    learner = build_learner(recipe, name, len(catalog.classes), size)
    seconds = state["seconds"]
    return {
        "epochs": epochs_of(section, folder.stage(name)),
        "seconds": round(seconds, 1),
        "images_per_second": round(state["images"] / max(seconds, 1e-9), 1),
        "parameters": sum(p.numel() for p in learner.parameters()),
        "accuracy": found.metrics["accuracy"],
        "eer": found.metrics["eer"],
        "auc": found.metrics["auc"],
        "monitor": monitored(found.metrics, section.monitor)[1],
    }
