"""Where a stage stands, saved and taken up again."""

import logging
from typing import Any

import torch

from starter import distributed
from starter.errors import UserError
from starter.losses import ClassHead
from starter.runs.records import Contract, Meta, Parent, Term
from starter.training import checkpoint
from starter.training.state import StageJob, TrainState

log = logging.getLogger(__name__)


def resume(job: StageJob, state: TrainState) -> dict[str, Any] | None:
    """Puts everything back as it was at the last checkpoint; the hooks' state, None without one."""
    last = checkpoint.find(job.folder, "last")
    step = last and last.step
    if step != distributed.main_does(lambda: step):
        raise UserError(
            f"{job.folder}: process {distributed.rank()} sees another checkpoint there than "
            "process 0; runs= must name a disk that all machines share"
        )
    if last is None:
        return None
    saved = last.resume()
    state.learner.load_state_dict(saved["learner"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.schedule.load_state_dict(saved["schedule"])
    state.scaler.load_state_dict(saved["scaler"])
    if state.average:
        state.average.module.load_state_dict(last.weights())
    _warn_of_other_sums(saved)
    if distributed.is_main():
        checkpoint.point_best(job.folder, saved["best_step"] or last.step)
        checkpoint.remove_unnamed(job.folder)
    log.info("%s: continues after update %d of %d", job.name, last.step, state.steps)
    state.step, state.best_step = last.step, saved["best_step"]
    state.best_value, state.waited = saved["best_value"], saved.get("waited", 0)
    state.images = last.meta.images
    return saved["hooks"]


def _warn_of_other_sums(saved: dict[str, Any]) -> None:
    if saved["threads"] != torch.get_num_threads():
        log.warning(
            "resumed with %d threads, begun with %d: sums round differently, so the result will "
            "differ in the last digits; OMP_NUM_THREADS=%d makes it exact",
            torch.get_num_threads(),
            saved["threads"],
            saved["threads"],
        )
    if distributed.world_size() != saved["processes"]:
        log.info(
            "continues on %d processes after %d: another draw of what the network drops and mixes",
            distributed.world_size(),
            saved["processes"],
        )


def save(
    job: StageJob, state: TrainState, hooks: dict[str, Any], metrics: dict[str, float | None]
) -> None:
    """Writes a checkpoint of where the stage stands; metrics: those measured at it, or none.

    All processes call it and hold the same; rank 0 writes, for any number to continue.
    """
    if distributed.is_main():
        _write(job, state, hooks, metrics)
    distributed.barrier()


def _write(
    job: StageJob, state: TrainState, hooks: dict[str, Any], metrics: dict[str, float | None]
) -> None:
    evaluated = state.evaluated
    terms = {
        name: Term(
            cosine=isinstance(term, ClassHead) and term.cosine, classes=isinstance(term, ClassHead)
        )
        for name, term in evaluated.objective.terms.items()
    }
    parent = None
    if job.parent is not None:
        parent = Parent(stage=job.parent.meta.stage, weights=job.parent.weights_hash)
    meta = Meta(
        stage=job.name,
        step=state.step,
        images=state.images,
        seconds=hooks.get("seconds", 0.0),
        metrics=metrics,
        recipe=job.recipe,
        classes=job.catalog.classes,
        preprocessing=Contract(**evaluated.embedder.preprocessing.to_dict()),
        precision=state.precision.name,
        terms=terms,
        parent=parent,
    )
    continued = {
        "learner": state.learner.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "schedule": state.schedule.state_dict(),
        "scaler": state.scaler.state_dict(),
        "hooks": hooks,
        "threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        "best_step": state.best_step,
        "best_value": state.best_value,
        "waited": state.waited,
    }
    best_step = state.best_step or state.step
    checkpoint.save(job.folder, evaluated.state_dict(), meta, continued, best_step=best_step)
