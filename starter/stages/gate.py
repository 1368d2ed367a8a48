"""Whether a finished stage becomes the run's best."""

import zipfile
from dataclasses import dataclass

import numpy as np

from starter.errors import UserError
from starter.inference.evaluate import Evaluation
from starter.metrics import better, monitored
from starter.runs.folder import RunFolder
from starter.stages.judge import judge
from starter.stages.run import Run


@dataclass(frozen=True)
class Decision:
    """Whether to take the stage as the run's best, and why in words."""

    take: bool
    text: str


def decide(run: Run, name: str, evaluation: Evaluation) -> Decision:
    """Compares the stage with its parent in this run, else with the run's best so far."""
    best = run.folder.read_best()
    if best is not None and not run.is_finished(best):
        best = None  # somebody removed it
    return _decide(run, name, evaluation, best)


def best_without(run: Run, discarded: list[str]) -> str | None:
    """The run's best had the discarded stages never been: the gates of the others, in order."""
    best = None
    for name in run.recipe.stages:
        if name in discarded or not run.is_finished(name):
            continue
        if _decide(run, name, read_evaluation(run.folder, name), best).take:
            best = name
    return best


def _decide(run: Run, name: str, evaluation: Evaluation, best: str | None) -> Decision:
    recipe, section = run.recipe, run.recipe.stages[name]
    reference = section.init if section.init in recipe.stages else best
    if reference is None or reference == name:
        other = section.init is not None and section.init not in recipe.stages
        why = f" (not compared with {section.init}, which is another run's)" if other else ""
        return Decision(True, f"best of the run is now {name}{why}")
    pairs, earlier = run.catalog.pairs.get("val"), read_evaluation(run.folder, reference)
    verdict = judge(
        evaluation,
        earlier,
        None if pairs is None else pairs.same_P,
        section.monitor,
        seed=recipe.seed,
        identity_P2=None if pairs is None else run.catalog.identities(pairs),
    )
    take = verdict.better or not section.gate
    if take and section.gate and best not in (None, reference, name):
        metric, value = monitored(evaluation.metrics, section.monitor)
        take = better(value, read_evaluation(run.folder, best).metrics.get(metric), metric)
    kept = name if take else best
    why = "" if section.gate else " (gate: false)"
    return Decision(take, f"{verdict.text}; best of the run: {kept}{why}")


def read_evaluation(folder: RunFolder, stage: str | None) -> Evaluation:
    """The saved evaluation of a finished stage's best checkpoint."""
    assert stage is not None
    record = folder.read_stage(stage)
    assert record is not None
    path = folder.stage(stage).predictions
    try:
        with np.load(path) as arrays:
            kept = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {error}; train again: --fresh {stage}") from None
    return Evaluation(
        record.metrics,
        kept.get("correct_M"),
        kept.get("predicted_M"),
        kept.get("score_P"),
        {},
    )
