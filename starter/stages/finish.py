"""The end of a stage: its predictions, the gate, the summary, the run's best."""

import logging
from typing import Any

import numpy as np

from starter.data.samplers import batches_per_epoch
from starter.inference.evaluate import Evaluation
from starter.metrics import monitored
from starter.runs.folder import StageFolder
from starter.runs.records import Best, Meta, Stage, StageSummary, Summary
from starter.stages.gate import decide
from starter.stages.run import Run
from starter.training.checkpoint import find

log = logging.getLogger(__name__)


def finish(run: Run, name: str, evaluation: Evaluation, record: Stage) -> None:
    """Asks the gate, writes the stage's summary, moves the run's best, marks the stage finished.

    Finished comes last: a kill before it has all of this done again.
    """
    folder, place = run.folder, run.folder.stage(name)
    best, last = find(place, "best"), find(place, "last")
    assert best is not None and last is not None
    _save_predictions(place, evaluation)
    decision = decide(run, name, evaluation)
    taken = name if decision.take else folder.read_best()
    stages = folder.read_summary().stages
    stages[name] = _summary(run, name, evaluation, last.meta)
    order = [*run.recipe.stages, *(other for other in stages if other not in run.recipe.stages)]
    Best(stage=taken).write(folder.best)
    Summary(stages={n: stages[n] for n in order if n in stages}, best=taken).write(folder.summary)
    done = {"best_step": best.step, "metrics": evaluation.metrics, "gate": decision.text}
    record.model_copy(update={"finished": True, **done}).write(place.record)
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


def _summary(run: Run, name: str, evaluation: Evaluation, meta: Meta) -> StageSummary:
    section, metrics = run.recipe.stages[name], evaluation.metrics
    per_epoch = batches_per_epoch(len(run.catalog.index("train")), section.batch_size)
    return StageSummary(
        epochs=meta.step // per_epoch,
        seconds=round(meta.seconds, 1),
        images_per_second=round(meta.images / max(meta.seconds, 1e-9), 1),
        parameters=sum(p.numel() for p in run.learner(name).parameters()),
        accuracy=metrics["accuracy"],
        eer=metrics["eer"],
        auc=metrics["auc"],
        monitor=monitored(metrics, section.monitor)[1],
    )
