"""Where to say "same": a threshold at the EER or at a false accept rate, and how sure it is.

Shapes: P pairs, R resamples.
"""

from collections.abc import Callable

import numpy as np

from starter.errors import UserError
from starter.metrics.folds import cross_fit
from starter.metrics.intervals import percentile_interval, resampled_by, resampled_weights
from starter.metrics.verification import (
    Order,
    Roc,
    checked,
    nearest_errors,
    roc,
    sort_scores,
    threshold_of,
)


def require_resolved(impostors: int, far: float) -> None:
    """UserError where this many impostor pairs cannot tell the FAR: none of them may be accepted
    then, and how many others would be is not known."""
    if far * impostors < 1:
        raise UserError(
            f"verify.threshold.far: {far:g} needs {int(np.ceil(1 / far)):,} labelled impostor "
            f"pairs, there are {impostors:,}, which resolve 1/{impostors} = {1 / impostors:.2g}: "
            "ask for that or more, or set verify.threshold.at=eer"
        )


def fit_decision(
    score_P: np.ndarray,
    same_P: np.ndarray,
    far: float | None = None,
    *,
    fold_P2: np.ndarray | None = None,
    resamples: int = 0,
    identity_P2: np.ndarray | None = None,
    seed: int = 0,
) -> dict:
    """The threshold for score >= threshold.

    Args:
        far: the largest share of impostors to accept; None: at the EER.
        fold_P2: folds of identities or images (see `cross_fit`), for `held_out`.
        resamples, identity_P2, seed: as `evaluate`.
    Returns:
        at ("eer" or "far"), asked (the far), threshold, far and frr on these pairs (fractions);
        held_out {far, frr}: of thresholds fitted on other identities, where folds allow;
        with resamples, intervals {threshold, far, frr} (95 %; far and frr at this threshold) and
        resampled_by.
    Raises:
        UserError: a far that the pairs cannot resolve; as `evaluate`.
    """
    score_P, same_P = checked(score_P, same_P)
    if far is not None:
        require_resolved(int((~same_P).sum()), far)
    order = sort_scores(score_P)
    curve = roc(order, same_P)
    column = int(_columns(curve, far)[0])
    threshold = threshold_of(order, column)
    decision: dict = {
        "at": "eer" if far is None else "far",
        "asked": far,
        "threshold": threshold,
        "far": float(curve.fpr_RT1[0, column]),
        "frr": float(1 - curve.tpr_RT1[0, column]),
    }
    if fold_P2 is not None:
        held_out = _held_out(score_P, same_P, far, fold_P2)
        decision |= {"held_out": held_out} if held_out else {}
    if resamples:
        decision["intervals"] = _intervals(order, same_P, far, column, resamples, identity_P2, seed)
        decision["resampled_by"] = resampled_by(identity_P2)
    return decision


def _columns(curve: Roc, far: float | None) -> np.ndarray:
    """The column of each row of the ROC that is decided at, int64 (R)."""
    if far is None:
        return nearest_errors(curve)
    return (curve.fpr_RT1 <= far).sum(axis=1) - 1  # rates only grow along a row


def _held_out(
    score_P: np.ndarray, same_P: np.ndarray, far: float | None, fold_P2: np.ndarray
) -> dict[str, float]:
    def fit(part_P: np.ndarray, same: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        order = sort_scores(part_P)
        threshold = threshold_of(order, int(_columns(roc(order, same), far)[0]))
        return lambda others_P: others_P >= threshold

    accepted_P = cross_fit(fit, score_P, same_P, fold_P2)
    if accepted_P is None:
        return {}
    return {"far": float(accepted_P[~same_P].mean()), "frr": float(1 - accepted_P[same_P].mean())}


def _intervals(
    order: Order,
    same_P: np.ndarray,
    far: float | None,
    column: int,
    resamples: int,
    identity_P2: np.ndarray | None,
    seed: int,
) -> dict[str, tuple[float, float]]:
    values: dict[str, list] = {"threshold": [], "far": [], "frr": []}
    edge_T1 = np.array([threshold_of(order, c) for c in range(len(order.score_T) + 1)])
    for weight_RP in resampled_weights(same_P, identity_P2, resamples, seed):
        curve = roc(order, same_P, weight_RP)
        values["threshold"].append(edge_T1[_columns(curve, far)])
        values["far"].append(curve.fpr_RT1[:, column])
        values["frr"].append(1 - curve.tpr_RT1[:, column])
    return {name: percentile_interval(np.concatenate(v)) for name, v in values.items()}
