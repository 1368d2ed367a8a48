"""How large a scale must be, and the loss that a fresh head begins with.

K classes, s scale, D embedding, c_j = cos theta_j.
"""

import math
from collections.abc import Callable

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


def log_sum(classes: int, std: float) -> float:
    """The mean of ln sum_j exp(z_j) over K logits z_j ~ N(0, std^2).

    ln K + std^2 / 2 while many terms matter; std sqrt(2 ln K), the greatest of them, where one
    does (std^2 > 2 ln K: a large scale in few dimensions). Both meet there.
    """
    log_k = math.log(classes)
    if std**2 <= 2 * log_k:
        return log_k + std**2 / 2
    return std * math.sqrt(2 * log_k)


def gaussian_mean(function: Callable[[float], float], std: float, points: int = 401) -> float:
    """The mean of function(z) over z ~ N(0, std^2), by a sum over -8..8 standard deviations."""
    nodes = [16 * i / (points - 1) - 8 for i in range(points)]
    weights = [math.exp(-(z**2) / 2) for z in nodes]
    total = sum(w * function(std * z) for w, z in zip(weights, nodes, strict=True))
    return total / sum(weights)


def softplus(x: float) -> float:
    """ln(1 + exp(x)) without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
