"""Where a stage stands, and how that is saved and found again."""

import logging
from dataclasses import dataclass, field

import torch

from starter import distributed
from starter.errors import UserError
from starter.hooks.progress import LossMeter, MetricsFile
from starter.losses import ClassHead
from starter.training import checkpoint
from starter.training.build import StageJob
from starter.training.step import Setup

log = logging.getLogger(__name__)


@dataclass
class Position:
    """Where a stage stands: `step` updates done, the best epoch so far, time spent."""

    step: int = 0
    best_step: int = 0
    best_value: float | None = None
    seconds: float = 0.0
    images: int = 0
    meter: LossMeter = field(default_factory=LossMeter)


def resume(job: StageJob, setup: Setup) -> Position:
    """Puts everything back as it was at the last checkpoint; a new position where there is none."""
    metrics = MetricsFile(job.folder.metrics)
    last = checkpoint.find(job.folder, "last")
    _require_same_disk(job, last)
    if last is None:
        metrics.cut(-1)
        return Position()
    state = last.resume()
    setup.learner.load_state_dict(state["learner"])
    setup.optimizer.load_state_dict(state["optimizer"])
    setup.schedule.load_state_dict(state["schedule"])
    setup.scaler.load_state_dict(state["scaler"])
    if setup.average:
        setup.average.module.load_state_dict(last.weights())
    if state["threads"] != torch.get_num_threads():
        log.warning(
            "resumed with %d threads, begun with %d: sums round differently, so the result will "
            "differ in the last digits; OMP_NUM_THREADS=%d makes it exact",
            torch.get_num_threads(),
            state["threads"],
            state["threads"],
        )
    if distributed.world_size() != (begun := state.get("processes", 1)):
        log.info(
            "continued on %d processes after %d: another draw of what the network drops and mixes",
            distributed.world_size(),
            begun,
        )
    if distributed.is_main():
        metrics.cut(last.step)
        checkpoint.point_best(job.folder, state["best_step"] or last.step)
        checkpoint.remove_unnamed(job.folder)
    log.info("%s: continued after update %d of %d", job.name, last.step, setup.steps)
    return Position(
        step=last.step,
        best_step=state["best_step"],
        best_value=state["best_value"],
        seconds=state["seconds"],
        images=state["images"],
        meter=LossMeter.from_state(state["meter"]),
    )


def _require_same_disk(job: StageJob, last: checkpoint.Checkpoint | None) -> None:
    step = last and last.step
    if step != distributed.main_does(lambda: step):
        raise UserError(
            f"{job.folder}: process {distributed.rank()} finds another checkpoint there than "
            "process 0; runs= must name a disk that all machines share"
        )


def save(job: StageJob, setup: Setup, position: Position, metrics: dict) -> None:
    """Writes a checkpoint of this position; `metrics` are those measured at it, or none.

    All processes call it and hold the same; process 0 writes, for any number to continue.
    """
    position.meter.flush()
    if distributed.is_main():
        _write(job, setup, position, metrics)
    distributed.barrier()


def _write(job: StageJob, setup: Setup, position: Position, metrics: dict) -> None:
    evaluated = setup.evaluated
    terms = {
        name: {
            "cosine": isinstance(term, ClassHead) and term.cosine,
            "classes": isinstance(term, ClassHead),
        }
        for name, term in evaluated.objective.terms.items()
    }
    meta = {
        "stage": job.name,
        "step": position.step,
        "metrics": metrics,
        "recipe": job.recipe.model_dump(mode="json"),
        "classes": list(job.catalog.classes),
        "preprocessing": evaluated.embedder.preprocessing.to_dict(),
        "precision": setup.precision.name,
        "terms": terms,
        "parent": job.parent
        and {"stage": job.parent.meta["stage"], "weights": job.parent.weights_hash},
    }
    resume = {
        "learner": setup.learner.state_dict(),
        "optimizer": setup.optimizer.state_dict(),
        "schedule": setup.schedule.state_dict(),
        "scaler": setup.scaler.state_dict(),
        "threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        "best_step": position.best_step,
        "best_value": position.best_value,
        "seconds": position.seconds,
        "images": position.images,
        "meter": position.meter.state(),
    }
    checkpoint.save(
        job.folder,
        evaluated.state_dict(),
        meta,
        resume,
        best_step=position.best_step or position.step,
    )
