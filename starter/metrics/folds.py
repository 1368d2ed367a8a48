"""The LFW protocol: accuracy over k folds, each with the threshold of the others.

Shapes: P pairs, F folds.
"""

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
        threshold = best_threshold(score_P[~here_P], same_P[~here_P])
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


def best_threshold(score_P: np.ndarray, same_P: np.ndarray) -> float:
    """The threshold of the highest accuracy, midway between two scores; the lowest of equals."""
    level_L, group_P = np.unique(np.asarray(score_P, np.float64), return_inverse=True)
    gain_L = np.bincount(group_P, np.where(same_P, -1.0, 1.0), len(level_L))
    correct = np.concatenate([[0], np.cumsum(gain_L)])  # besides the genuine pairs, all at first
    edges = np.concatenate([[-np.inf], (level_L[:-1] + level_L[1:]) / 2, [np.inf]])
    return float(edges[correct.argmax()])
