"""Folds: judging what was fitted on labelled pairs by pairs that it was not fitted on.

`cross_validate` is the LFW protocol: k folds of pairs, each with the threshold of the others.

`cross_fit` is stricter. A pair joins two units (identities, or images where identities are not
known), and a pair that shares a unit with the fitted ones is no stranger to them. So units are
dealt into folds, and the pairs that lie in folds (f, g) are judged by a fit on the pairs that touch
neither f nor g: each pair once, K (K + 1) / 2 fits in all.

Shapes: P pairs, F folds, S columns of what is fitted on (one score a run).
"""

from collections.abc import Callable

import numpy as np

FOLDS = 10


def cross_validate(
    score_P: np.ndarray, same_P: np.ndarray, fold_P: np.ndarray | None = None, seed: int = 0
) -> dict:
    """Mean accuracy over the folds and its standard error (Huang et al. 2007, section 4).

    In each fold the threshold of the highest accuracy on all other pairs is used: a pair is the
    same identity where its score is not below it.

    Args:
        fold_P: the fold of each pair, as the set has them; None: ten of equal size, shuffled by
            `seed`, genuine and impostor pairs spread alike.
    Returns:
        folds, accuracy, standard_error (fractions; deviation of the folds with n - 1, over the
        square root of their number), shuffled (whether the folds are our own). Empty where there
        are fewer genuine or impostor pairs than folds.
    """
    same_P = np.asarray(same_P, bool)
    shuffled = fold_P is None
    if fold_P is None:
        if min(same_P.sum(), (~same_P).sum()) < FOLDS:
            return {}
        fold_P = shuffled_folds(same_P, FOLDS, seed)
    accuracy = []
    for fold in np.unique(fold_P):
        here_P = fold_P == fold
        threshold, _ = best_threshold(score_P[~here_P], np.where(same_P[~here_P], -1, 1))
        accuracy.append(float(((score_P[here_P] >= threshold) == same_P[here_P]).mean()))
    deviation = np.std(accuracy, ddof=1)
    return {
        "folds": len(accuracy),
        "accuracy": float(np.mean(accuracy)),
        "standard_error": float(deviation / np.sqrt(len(accuracy))),
        "shuffled": shuffled,
    }


def shuffled_folds(same_P: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """fold_P: pairs of each kind dealt out in random order."""
    rng = np.random.default_rng(seed)
    fold_P = np.empty(len(same_P), np.int64)
    for kind in (True, False):
        index = rng.permutation(np.flatnonzero(same_P == kind))
        fold_P[index] = np.arange(len(index)) % folds
    return fold_P


def best_threshold(score_N: np.ndarray, gain_N: np.ndarray) -> tuple[float, float]:
    """The threshold that gains most, midway between two scores; the lowest of equals.

    gain_N: how many more decisions are right once this score lies below the threshold.
    Returns:
        the threshold (-inf where refusing gains nothing, inf where all are refused), the gain.
    """
    level_L, group_N = np.unique(np.asarray(score_N, np.float64), return_inverse=True)
    gain_L = np.bincount(group_N, gain_N, len(level_L))
    total = np.concatenate([[0], np.cumsum(gain_L)])
    edges = np.concatenate([[-np.inf], (level_L[:-1] + level_L[1:]) / 2, [np.inf]])
    best = int(total.argmax())
    return float(edges[best]), float(total[best])


def fold_pairs(unit_P2: np.ndarray, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """fold_P2 int64: the fold of both sides of each pair, units dealt out in random order."""
    unit_U, index = np.unique(np.asarray(unit_P2), return_inverse=True)
    fold_U = np.empty(len(unit_U), np.int64)
    fold_U[np.random.default_rng(seed).permutation(len(unit_U))] = np.arange(len(unit_U)) % folds
    return fold_U[index.reshape(-1, 2)]


def cross_fit(
    fit: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]],
    value_PS: np.ndarray,
    same_P: np.ndarray,
    fold_P2: np.ndarray,
) -> np.ndarray | None:
    """What fits on other units' pairs say of each pair.

    Args:
        fit: (values, same) of some pairs -> a function of values, one number a pair.
        value_PS: (P,) or (P, S) float, what is fitted on.
        same_P: bool.
    Returns:
        out_P float64; None where some fold leaves no genuine or no impostor pair to fit on.
    """
    out_P = np.empty(len(same_P))
    low_P, high_P = fold_P2.min(axis=1), fold_P2.max(axis=1)
    for low, high in np.unique(np.stack([low_P, high_P], axis=1), axis=0):
        here_P = (low_P == low) & (high_P == high)
        others_P = ~np.isin(fold_P2, (low, high)).any(axis=1)
        kinds = same_P[others_P]
        if not len(kinds) or kinds.all() or not kinds.any():
            return None
        out_P[here_P] = fit(value_PS[others_P], kinds)(value_PS[here_P])
    return out_P
