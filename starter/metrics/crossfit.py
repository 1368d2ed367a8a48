"""Judging what was fitted on labelled pairs by pairs that it was not fitted on.

A pair joins two units (identities, or images where identities are not known), and a pair that
shares a unit with the fitted ones is no stranger to them. So units are dealt into folds, and the
pairs that lie in folds (f, g) are judged by a fit on the pairs that touch neither f nor g: each
pair once, K (K + 1) / 2 fits in all.

Shapes: P pairs, S columns of what is fitted on (one score a run).
"""

from collections.abc import Callable

import numpy as np

FOLDS = 10


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
