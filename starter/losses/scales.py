"""How large a scale must be, and the loss that a fresh head begins with.

K classes, s scale, D embedding, c_j = cos theta_j; M nodes of an integral, U of another.
"""

import math

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
