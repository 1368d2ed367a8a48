"""Did a stage improve on its parent? The point estimate decides, the interval is told.

Shapes: M dev images, P validation pairs.
"""

from dataclasses import dataclass

import numpy as np

from starter.inference.evaluate import Evaluation
from starter.metrics import better, compare, monitored

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
        found = compare(
            parent.score_P,
            child.score_P,
            same_P,
            resamples=RESAMPLES,
            identity_P2=identity_P2,
            seed=seed,
        )
        eer = found["eer"]
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
