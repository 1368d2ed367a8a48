"""How large a scale must be, and the loss that a fresh head begins with.

K classes, s scale, D embedding, c_j = cos theta_j; M nodes of an integral, U of another.
"""

import math

import numpy as np

POSTERIOR = 0.99  # of the target class, which a scale should be able to reach


def smallest(classes: int, reach: float = 1.0, posterior: float = POSTERIOR) -> float:
    """The least s at which the target class can have `posterior`.

    With centres ideally spread the other cosines are -1/(K - 1), and the target's logit is
    s * reach after its margin: s = ln((K - 1) p / (1 - p)) / (reach + 1/(K - 1)). For reach = 1
    that is NormFace's bound (Wang et al. 2017). inf where the margin leaves no gap.
    """
    if classes < 2:
        return 0.0
    gap = reach + 1 / (classes - 1)
    wanted = math.log((classes - 1) * posterior / (1 - posterior))
    return wanted / gap if gap > 0 else math.inf


def adacos(classes: int) -> float:
    """sqrt(2) ln(K - 1), AdaCos's fixed scale (Zhang et al. 2019); at least 1, for K < 4."""
    return max(1.0, math.sqrt(2) * math.log(max(classes - 1, 1)))


def auto(classes: int, reach: float = 1.0) -> float:
    """The scale that `auto` means: AdaCos's, but never below the smallest useful one."""
    return max(adacos(classes), smallest(classes, reach))


def cosines(dim: int, of: int = 1, count: int = 1001) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (count) of the cosine between two random directions of `dim` dimensions,
    whose angle has the density sin(theta)^(dim - 2); of the greatest of `of` such cosines."""
    theta = (np.arange(count) + 0.5) * math.pi / count
    log_weight = (dim - 2) * np.log(np.sin(theta))
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    up_to = np.cumsum(weight[::-1])[::-1].clip(0, 1)  # the chance of a cosine at most this
    return np.cos(theta), -np.diff(np.append(up_to**of, 0.0))


def log_sum(
    classes: int, logit_M: np.ndarray, weight_M: np.ndarray, own: float | None = None
) -> float:
    """The mean of ln sum_j exp(z_j) over K logits drawn from these nodes, or K - 1 and `own`.

    ln S is the integral of (exp(-t) - exp(-t S)) dt / t, and the mean of exp(-t S) a K-th power.
    About ln K + s^2 / 2D for logits s c_j, less where few of them make up the sum.
    """
    drawn, known = (classes, -math.inf) if own is None else (classes - 1, own)
    reach = max(float(np.abs(logit_M).max()), abs(own or 0.0)) + math.log(classes)
    u_U = np.arange(-reach - 20, reach + 5, 0.1)  # u = ln t
    one = (weight_M * np.exp(-np.exp(np.minimum(u_U[:, None] + logit_M, 700)))).sum(axis=1)
    rest = np.exp(-np.exp(np.minimum(u_U + known, 700))) * one**drawn
    return float((np.exp(-np.exp(u_U)) - rest).sum() * 0.1)
