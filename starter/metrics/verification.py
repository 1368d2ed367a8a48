"""How well scores tell genuine pairs from impostors. Every metric is a fraction in [0, 1].

Shapes: P pairs, T distinct scores, R rows (resamples; 1 for the data as they are). A pair is
accepted at score >= threshold. FAR = FPR: accepted impostors; TAR = TPR: accepted genuine pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from starter.errors import UserError
from starter.metrics.intervals import percentile_interval, resampled_by, resampled_weights

FARS = (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1)


@dataclass(frozen=True, eq=False)
class Order:
    """Pairs sorted once, best score first: order_P int64, end_T (after each distinct score)."""

    order_P: np.ndarray
    end_T: np.ndarray
    score_T: np.ndarray


@dataclass(frozen=True, eq=False)
class Roc:
    """Accepted pairs at each threshold, as exact counts: column 0 accepts none, the last all.

    true_RT1, false_RT1: int64 (R, T + 1), accepted genuine and impostor pairs, ascending.
    """

    true_RT1: np.ndarray
    false_RT1: np.ndarray

    @property
    def tpr_RT1(self) -> np.ndarray:
        return self.true_RT1 / self.true_RT1[:, -1:]

    @property
    def fpr_RT1(self) -> np.ndarray:
        return self.false_RT1 / self.false_RT1[:, -1:]


def sort_scores(score_P: np.ndarray) -> Order:
    """Sorts pairs by falling score; equal scores share a threshold."""
    order_P = np.argsort(-score_P, kind="stable")
    sorted_P = score_P[order_P]
    end_T = np.append(np.flatnonzero(np.diff(sorted_P)), len(sorted_P) - 1) + 1
    return Order(order_P, end_T, sorted_P[end_T - 1])


def roc(order: Order, same_P: np.ndarray, weight_RP: np.ndarray | None = None) -> Roc:
    """The ROC of sorted pairs, each counted as often as its weight says (once by default)."""
    if weight_RP is None:
        weight_RP = np.ones((1, len(same_P)), np.int64)
    weight_RP = weight_RP[:, order.order_P]
    same_P = same_P[order.order_P]
    at_T1 = np.append(0, order.end_T)
    counts = []
    for kind_P in (same_P, ~same_P):
        sum_RP1 = np.zeros((len(weight_RP), len(same_P) + 1), np.int64)
        np.cumsum(weight_RP * kind_P, axis=1, out=sum_RP1[:, 1:])
        counts.append(sum_RP1[:, at_T1])
    return Roc(*counts)


def equal_error_rate(curve: Roc) -> np.ndarray:
    """eer_R float64 by the course's definition: the root of 1 - x = TPR(x), linear between points.

    The curve is a chain of segments from (0, 0) to (1, 1) along which FPR + TPR only grows, so the
    root is where that sum passes 1. Equals scipy's brentq over interp1d of sklearn's roc_curve.
    """
    fpr_RT1 = curve.fpr_RT1
    sum_RT1 = fpr_RT1 + curve.tpr_RT1
    after_R = np.argmax(sum_RT1 >= 1, axis=1)
    rows_R = np.arange(len(sum_RT1))
    sum0_R, sum1_R = sum_RT1[rows_R, after_R - 1], sum_RT1[rows_R, after_R]
    fpr0_R, fpr1_R = fpr_RT1[rows_R, after_R - 1], fpr_RT1[rows_R, after_R]
    return fpr0_R + (1 - sum0_R) / (sum1_R - sum0_R) * (fpr1_R - fpr0_R)


def equal_error_rate_step(curve: Roc) -> np.ndarray:
    """eer_R float64 without interpolation: (FPR + FNR) / 2 where the two are nearest."""
    at_R = nearest_errors(curve)
    rows_R = np.arange(len(at_R))
    return (curve.fpr_RT1[rows_R, at_R] + 1 - curve.tpr_RT1[rows_R, at_R]) / 2


def area(curve: Roc) -> np.ndarray:
    """auc_R float64: P(genuine score > impostor score) + P(equal) / 2, from exact counts."""
    width_RT = np.diff(curve.false_RT1, axis=1)
    twice_RT = curve.true_RT1[:, 1:] + curve.true_RT1[:, :-1]
    total_R = curve.true_RT1[:, -1] * curve.false_RT1[:, -1]
    return (width_RT * twice_RT).sum(axis=1) / (2 * total_R)


def best_accuracy(curve: Roc) -> np.ndarray:
    """accuracy_R float64 at the threshold that is best on these very pairs (so a little high)."""
    total_R = curve.true_RT1[:, -1] + curve.false_RT1[:, -1]
    return _correct(curve).max(axis=1) / total_R


METRICS: dict[str, Callable[[Roc], np.ndarray]] = {
    "accuracy": best_accuracy,
    "eer": equal_error_rate,
    "eer_step": equal_error_rate_step,
    "auc": area,
}


def evaluate(
    score_P: np.ndarray,
    same_P: np.ndarray,
    *,
    resamples: int = 0,
    identity_P2: np.ndarray | None = None,
    seed: int = 0,
) -> dict:
    """Verification metrics of labelled pairs, as fractions.

    Args:
        score_P: float similarity, higher is more alike.
        same_P: bool (or 0/1), True for a genuine pair.
        resamples: bootstrap resamples for intervals; 0 for none.
        identity_P2: int identities of both sides of a pair. Given and all known (>= 0), identities
            are resampled and not pairs (see `intervals`).
        seed: of the resamples.
    Returns:
        accuracy (best threshold), eer (course: ROC interpolated linearly), eer_step, auc;
        tar_at_far {far: tar}, TAR at the lowest threshold whose FAR is at most far, only for far
        that the impostor pairs can resolve (>= 1/F); thresholds {eer, accuracy} for
        score >= threshold; pairs, genuine, impostor (counts); resolution (a sentence);
        with resamples, intervals {metric: (low, high)} 95 % and resampled_by.
    Raises:
        UserError: pairs of one kind only, or scores that are not finite.
    """
    score_P, same_P = checked(score_P, same_P)
    order = sort_scores(score_P)
    curve = roc(order, same_P)
    metrics: dict = {name: float(metric(curve)[0]) for name, metric in METRICS.items()}
    genuine, impostor = int(same_P.sum()), int((~same_P).sum())
    metrics["tar_at_far"] = _tar_at_far(curve)
    metrics["thresholds"] = {
        "eer": threshold_of(order, int(nearest_errors(curve)[0])),
        "accuracy": threshold_of(order, int(np.argmax(_correct(curve)[0]))),
    }
    metrics |= {"pairs": len(score_P), "genuine": genuine, "impostor": impostor}
    metrics["resolution"] = (
        f"{impostor} impostor pairs resolve a FAR of 1/{impostor} = {1 / impostor:.2g}; "
        "none below is reported"
    )
    if resamples:
        value_by = _resample([order], same_P, resamples, identity_P2, seed)
        metrics["intervals"] = {n: percentile_interval(v[0]) for n, v in value_by.items()}
        metrics["resampled_by"] = resampled_by(identity_P2)
    return metrics


def compare(
    score_a_P: np.ndarray,
    score_b_P: np.ndarray,
    same_P: np.ndarray,
    *,
    resamples: int = 1000,
    identity_P2: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Do scores b beat scores a on the same pairs? A paired bootstrap: both see each resample.

    Arguments as `evaluate`; the intervals differ between a and b far less than each varies. Scores
    of several seeds, (S, P), are each measured, and their metrics averaged over the seeds.

    Returns:
        {"eer": {difference, low, high}, "auc": ...}: b - a as fractions with the 95 % interval.
        A negative EER difference and a positive AUC difference favour b.
    Raises:
        UserError: pairs of one kind only, or scores that are not finite.
    """
    assert resamples > 0, "a comparison needs resamples"
    a_SP, b_SP = np.atleast_2d(score_a_P), np.atleast_2d(score_b_P)
    measurable = [checked(score_P, same_P) for score_P in (*a_SP, *b_SP)]
    orders = [sort_scores(score_P) for score_P, _ in measurable]
    checked_P = measurable[0][1]
    value_by = _resample(orders, checked_P, resamples, identity_P2, seed)
    change_by = {}
    for name in ("eer", "auc"):
        value_S = np.array([METRICS[name](roc(order, checked_P))[0] for order in orders])
        change_R = value_by[name][len(a_SP) :].mean(0) - value_by[name][: len(a_SP)].mean(0)
        low, high = percentile_interval(change_R)
        difference = float(value_S[len(a_SP) :].mean() - value_S[: len(a_SP)].mean())
        change_by[name] = {"difference": difference, "low": low, "high": high}
    return change_by


def threshold_at_eer(score_P: np.ndarray, same_P: np.ndarray) -> float:
    """The threshold at which false accepts and false rejects are nearest; errors as `evaluate`.

    Midway between two neighbouring scores, so that rounding a score cannot change the answer.
    """
    score_P, same_P = checked(score_P, same_P)
    order = sort_scores(score_P)
    return threshold_of(order, int(nearest_errors(roc(order, same_P))[0]))


def _resample(
    orders: list[Order], same_P: np.ndarray, resamples: int, identity_P2, seed: int
) -> dict[str, np.ndarray]:
    """{metric: value_SR} of S sets of scores on the same R resamples."""
    blocks: dict[str, list] = {name: [] for name in METRICS}
    for weight_RP in resampled_weights(same_P, identity_P2, resamples, seed):
        curves = [roc(order, same_P, weight_RP) for order in orders]
        for name, metric in METRICS.items():
            blocks[name].append([metric(curve) for curve in curves])
    return {name: np.concatenate(values, axis=1) for name, values in blocks.items()}


def checked(score_P: np.ndarray, same_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arrays that can be measured. UserError naming what is wrong with the data."""
    score_P, same_P = np.asarray(score_P), np.asarray(same_P).astype(bool)
    assert np.issubdtype(score_P.dtype, np.floating), score_P.dtype
    assert score_P.shape == same_P.shape and score_P.ndim == 1, (score_P.shape, same_P.shape)
    genuine, impostor = int(same_P.sum()), int((~same_P).sum())
    if not genuine or not impostor:
        raise UserError(
            f"labelled pairs: {genuine} of the same identity and {impostor} of different ones; "
            "EER and AUC need both kinds"
        )
    bad_P = ~np.isfinite(score_P)
    if bad_P.any():
        raise UserError(
            f"{int(bad_P.sum())} of {len(score_P)} pair scores are not finite (the first is pair "
            f"{int(np.argmax(bad_P))}, counted from 0): the embeddings hold NaN or infinity"
        )
    return score_P, same_P


def nearest_errors(curve: Roc) -> np.ndarray:
    """The column of each row where |FPR - FNR| is least, int64 (R)."""
    return np.argmin(np.abs(curve.fpr_RT1 + curve.tpr_RT1 - 1), axis=1)


def _correct(curve: Roc) -> np.ndarray:
    """Rightly decided pairs at each threshold, int64 (R, T + 1)."""
    return curve.true_RT1 + curve.false_RT1[:, -1:] - curve.false_RT1


def _tar_at_far(curve: Roc) -> dict[float, float]:
    fpr_T1, tpr_T1 = curve.fpr_RT1[0], curve.tpr_RT1[0]
    smallest = 1 / curve.false_RT1[0, -1]
    return {
        far: float(tpr_T1[np.searchsorted(fpr_T1, far, side="right") - 1])
        for far in FARS
        if far >= smallest
    }


def threshold_of(order: Order, column: int) -> float:
    """A threshold that accepts exactly the pairs of a column of the ROC.

    It is a number of the scores' own type: numpy rounds a Python float to float32 before it
    compares it with float32 scores.
    """
    score_T = order.score_T
    if column == 0:
        return float(np.nextafter(score_T[0], score_T.dtype.type(np.inf)))
    upper = score_T[column - 1]
    if column == len(score_T):
        return float(upper)
    lower = score_T[column]
    middle = lower + (upper - lower) / 2
    return float(middle if middle > lower else upper)
