"""Whether a finished stage becomes the run's best: the point estimate decides, intervals inform.

Shapes: M dev images, P validation pairs.
"""

import zipfile
from dataclasses import dataclass

import numpy as np

from starter.errors import UserError
from starter.inference.evaluate import Evaluation
from starter.metrics import better, compare, monitored
from starter.runs.folder import RunFolder
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


RESAMPLES = 1000


@dataclass(frozen=True)
class Verdict:
    """Whether the stage is better than its parent by the monitor, and the words for the log."""

    better: bool
    text: str


def judge(
    child: Evaluation,
    parent: Evaluation,
    same_P: np.ndarray | None,
    monitor: str,
    *,
    identity_P2: np.ndarray | None = None,
    seed: int = 0,
) -> Verdict:
    """Compares two evaluations of the same images and pairs.

    The differences come with 95 % intervals from a paired bootstrap: both stages are measured on
    the same resampled images and pairs, as the error they share cancels; identities are resampled
    where `identity_P2` tells those of every pair.
    """
    name, new = monitored(child.metrics, monitor)
    _, old = monitored(parent.metrics, monitor)
    if new is None or old is None:
        return Verdict(True, f"no {monitor} to compare with the parent")
    parts = []
    if child.correct_M is not None and parent.correct_M is not None:
        low, high = paired_interval(child.correct_M, parent.correct_M, seed)
        change = float(child.correct_M.mean() - parent.correct_M.mean())
        parts.append(_points("accuracy", change, low, high))
    if child.score_P is not None and parent.score_P is not None and same_P is not None:
        eer = compare(
            parent.score_P,
            child.score_P,
            same_P,
            resamples=RESAMPLES,
            identity_P2=identity_P2,
            seed=seed,
        )["eer"]
        parts.append(_points("EER", eer["difference"], eer["low"], eer["high"]))
    improved = better(new, old, name)
    word = "better than" if improved else ("equal to" if new == old else "worse than")
    text = f"{name} {new:.4f}, {word} its parent's {old:.4f}; change of " + ", ".join(parts)
    return Verdict(improved, text)


def paired_interval(new_M: np.ndarray, old_M: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of mean(new) - mean(old) over the same M images, fractions."""
    difference_M = new_M.astype(np.float64) - old_M
    rng = np.random.default_rng(seed)
    means = [
        difference_M[rng.integers(len(difference_M), size=len(difference_M))].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _points(name: str, change: float, low: float, high: float) -> str:
    return f"{name} {100 * change:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
