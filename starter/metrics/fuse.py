"""Several runs' embeddings and classes made into one. No model is needed.

Every fusion here is a share for each run: score = sum of share_S * cosine_S. That is the cosine of
the embeddings laid end to end, each at length sqrt(share), so one array serves pairs, 1:N and
retrieval alike. Equal shares are plain concatenation. The mean of z-scored cosines has shares of
1 / deviation, as a run whose scores spread less is stretched; weighted fusion weight / deviation.
(Taking off the means moves all scores alike and changes no order.)

Shapes: S runs, N images, P pairs, D embedding, M images to classify, T classes kept, K classes.
"""

from collections.abc import Callable, Sequence

import numpy as np

from starter.metrics.folds import cross_fit
from starter.metrics.score import largest, unit
from starter.metrics.verification import evaluate

ROWS = 4096  # images whose K classes are added up at once
RIDGE = 1e-4  # keeps slopes finite where scores part the pairs; too little to move a weight


def shares(weight_S: np.ndarray, score_PS: np.ndarray) -> np.ndarray:
    """share_S float64, positive or 0, summing to 1: weights of z-scored cosines as weights of
    cosines. score_PS: cosines whose deviations scale them; a run that scores all alike counts 0."""
    deviation_S = np.asarray(score_PS, np.float64).std(axis=0)
    share_S = np.divide(weight_S, deviation_S, out=np.zeros(len(weight_S)), where=deviation_S > 0)
    return share_S / share_S.sum() if share_S.sum() > 0 else equal_shares(len(weight_S))


def equal_shares(runs: int) -> np.ndarray:
    """1 / S for every run."""
    return np.full(runs, 1 / runs)


def fuse_embeddings(emb_SND: Sequence[np.ndarray], share_S: np.ndarray) -> np.ndarray:
    """Embeddings of length 1 side by side, times sqrt(share): float32 (N, sum of D).

    Their cosine is the shared sum of cosines, but where a run's embedding is all zeros: there the
    other runs decide alone. A run without a share is left out.
    """
    parts = [
        unit(emb_ND) * np.float32(np.sqrt(share))
        for emb_ND, share in zip(emb_SND, share_S, strict=True)
        if share > 0
    ]
    return np.concatenate(parts, axis=1)


def fit_weights(score_PS: np.ndarray, same_P: np.ndarray) -> np.ndarray:
    """weight_S float64 of z-scored cosines, positive or 0, summing to 1.

    The logistic regression of `same` on the z-scores with slopes that may not be negative, genuine
    and impostor pairs counting alike; its slopes are the weights. Equal weights where no run tells
    genuine pairs from impostors.
    """
    from scipy.optimize import minimize

    z_PS = z_scored(score_PS)
    same_P = np.asarray(same_P, bool)
    half_P = np.where(same_P, 0.5 / same_P.sum(), 0.5 / (~same_P).sum())
    sign_P = np.where(same_P, 1.0, -1.0)
    runs = z_PS.shape[1]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        margin_P = sign_P * (z_PS @ theta[:runs] + theta[runs])
        pull_P = -half_P * sign_P / (1 + np.exp(np.clip(margin_P, -500, 500)))
        slopes = theta[:runs]
        value = half_P @ np.logaddexp(0, -margin_P) + RIDGE * slopes @ slopes
        return value, np.append(pull_P @ z_PS + 2 * RIDGE * slopes, pull_P.sum())

    fitted = minimize(
        loss,
        np.append(np.ones(runs), 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * runs + [(None, None)],
        options={"ftol": 1e-12, "gtol": 1e-8},
    )
    slope_S = fitted.x[:runs]
    return slope_S / slope_S.sum() if slope_S.sum() > 1e-9 else equal_shares(runs)


def z_scored(score_PS: np.ndarray) -> np.ndarray:
    """Columns less their mean, over their deviation; 0 where that is 0."""
    score_PS = np.asarray(score_PS, np.float64)
    deviation_S = score_PS.std(axis=0)
    scale_S = np.divide(1, deviation_S, out=np.zeros(len(deviation_S)), where=deviation_S > 0)
    return (score_PS - score_PS.mean(axis=0)) * scale_S


def held_out_eer(score_PS: np.ndarray, same_P: np.ndarray, fold_P2: np.ndarray) -> float | None:
    """EER of fitted weights on pairs of other identities than they were fitted on (`cross_fit`);
    a fraction, None where folds are too poor. To be held against the EER of equal weights, which
    fit nothing: where it is not lower, fitting was for nothing."""
    z_PS = z_scored(score_PS)

    def fit(part_PS: np.ndarray, same: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        weight_S = fit_weights(part_PS, same)
        return lambda others_PS: others_PS @ weight_S

    fused_P = cross_fit(fit, z_PS, np.asarray(same_P, bool), fold_P2)
    return None if fused_P is None else evaluate(fused_P, same_P)["eer"]


def softmax(logits_MK: np.ndarray) -> np.ndarray:
    """probability_MK of logits, of their own type."""
    power_MK = np.exp(logits_MK - logits_MK.max(axis=1, keepdims=True))
    return power_MK / power_MK.sum(axis=1, keepdims=True)


def top_classes(value_MK: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The `most` classes of the highest values, best first (int32 class_MT), and the values
    (float32). The first is the argmax, of equal ones the lowest class."""
    class_MT = largest(value_MK, most)
    class_MT[:, 0] = value_MK.argmax(axis=1)  # of many equals, the lowest may not be in the part
    return class_MT.astype(np.int32), np.take_along_axis(value_MK, class_MT, axis=1).astype("f4")


def mean_classes(
    tops: Sequence[tuple[np.ndarray, np.ndarray]], classes: int, rows: int = ROWS
) -> np.ndarray:
    """Class of the highest mean probability, int64 (M); the lowest of equals.

    tops: class_MT and probability_MT of each run, as `top_classes` keeps them; a class that a run
    did not keep has probability 0 there. With K <= T that is exact; else a class is misjudged only
    where some run gives it less than 1 / (T + 1).
    """
    count = len(tops[0][0])
    predicted_M = np.empty(count, np.int64)
    for start in range(0, count, rows):
        part = slice(start, min(start + rows, count))
        sum_BK = np.zeros((part.stop - part.start, classes))
        for class_MT, probability_MT in tops:
            row_B1 = np.arange(len(sum_BK))[:, None]
            sum_BK[row_B1, class_MT[part]] += probability_MT[part]  # a row's classes differ
        predicted_M[part] = sum_BK.argmax(axis=1)
    return predicted_M
