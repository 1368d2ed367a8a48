"""Cosines, margins as functions of the target cosine, and how large a scale must be.

Shapes: B batch, D embedding, K classes. cos_B is the cosine between each embedding and its own
class weight; a margin turns it into phi_B, and only these B numbers are ever changed.
"""

import math
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_SLOPE = 8.0  # d phi / d cos of an angle's margin; the true slope is unbounded at 0 and pi
POSTERIOR = 0.99  # of the target class, which a scale should be able to reach


def wide(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if they already are."""
    return x if x.dtype == torch.float64 else x.float()


def full_precision(x: Tensor) -> AbstractContextManager:
    """No autocast on x's device: bf16 cosines resolve no angle below 5 degrees, fp16 below 1.8."""
    return torch.autocast(x.device.type, enabled=False)


def unit(x_ND: Tensor) -> Tensor:
    """Rows scaled to length 1. Rows shorter than 1e-6 stay shorter; their gradients stay finite."""
    return F.normalize(x_ND, dim=1, eps=1e-6)


def cosface(cos_B: Tensor, margin: float | Tensor) -> Tensor:
    """phi = cos - m (Wang et al. 2018). margin: 0 <= m < 2, one for all rows or margin_B."""
    return cos_B - margin


def _cos_sin(margin: float | Tensor) -> tuple[float | Tensor, float | Tensor]:
    if isinstance(margin, Tensor):
        return margin.cos(), margin.sin()
    return math.cos(margin), math.sin(margin)


def arcface(cos_B: Tensor, margin: float | Tensor, gradient: str = "exact") -> Tensor:
    """phi = cos(theta + m) up to theta + m = pi, and -2 - cos(theta + m) beyond.

    Deng et al. 2019, continued as SphereFace's psi is (Liu et al. 2017), so that phi falls
    monotonically with the angle, without a jump in value or slope. margin: 0 <= m < pi/2, one for
    all rows or margin_B.

    gradient: "exact" is phi's own slope d phi / d cos = |sin(theta + m)| / sin(theta), held at
    MAX_SLOPE where theta is within a few degrees of 0 or pi; "detached" is 1, the plain cosine's.
    The value is the same. Both stay finite for collinear and opposite vectors, since the slope is
    computed outside autograd and multiplied back: neither acos nor sqrt is differentiated.
    """
    with torch.no_grad():
        # Rounding puts the cosine of collinear vectors past 1 in three cases out of ten.
        cos = cos_B.clamp(-1.0, 1.0)
        sin = ((1.0 - cos) * (1.0 + cos)).sqrt()
        cos_m, sin_m = _cos_sin(margin)
        cos_sum = cos * cos_m - sin * sin_m  # cos(theta + m)
        sin_sum = sin * cos_m + cos * sin_m  # sin(theta + m), negative past pi
        phi = torch.where(sin_sum >= 0, cos_sum, -2.0 - cos_sum)
        if gradient == "detached":
            slope = torch.ones_like(cos)
        else:
            # Makes 0 / 0 its limit: 1 for m = 0 (a warm-up's start), else MAX_SLOPE.
            tiny = torch.finfo(cos.dtype).eps
            slope = ((sin_sum.abs() + tiny) / (sin + tiny)).clamp_max(MAX_SLOPE)
    return phi + slope * (cos_B - cos_B.detach())


def angular(
    cos_B: Tensor,
    m1: float = 1.0,
    m2: float | Tensor = 0.0,
    gradient: str = "exact",
) -> Tensor:
    """phi = psi(m1 theta + m2), psi(a) = (-1)^k cos(a) - 2k with k = floor(a / pi).

    psi is cos on 0..pi and falls on from there in both directions without a jump in value or slope
    (SphereFace, Liu et al. 2017, where m1 is whole, m2 = 0 and k = 0..m1 - 1; here m1 >= 1 is any
    real number and m2, -pi/2 < m2 < pi/2, may be margin_B and may carry a gradient, MagFace's).

    gradient: "exact" is d phi / d cos = m1 |sin a| / sin(theta), held at max(MAX_SLOPE, m1^2);
    "detached" is 1, and m2 gets none. As in `arcface`, no acos and no sqrt is differentiated.
    """
    with torch.no_grad():
        cos = cos_B.clamp(-1.0, 1.0)
        sin = ((1.0 - cos) * (1.0 + cos)).sqrt()
        angle = m1 * torch.atan2(sin, cos) + m2
        k = (angle / math.pi).floor()
        phi = (1.0 - 2.0 * k.remainder(2.0)) * angle.cos() - 2.0 * k
        sin_a = angle.sin().abs()
        # Makes 0 / 0 its limit where m2 = 0: m1^2.
        tiny = torch.finfo(cos.dtype).eps
        slope = ((m1 * sin_a + m1**2 * tiny) / (sin + tiny)).clamp_max(max(MAX_SLOPE, m1**2))
    if gradient == "detached":
        return phi + (cos_B - cos_B.detach())
    phi = phi + slope * (cos_B - cos_B.detach())
    if isinstance(m2, Tensor) and m2.requires_grad:
        phi = phi - sin_a * (m2 - m2.detach())
    return phi


def target_of(cos_BK: Tensor, label_B: Tensor) -> Tensor:
    """cos_B: each row's entry at its label."""
    return cos_BK.gather(1, label_B[:, None]).squeeze(1)


def with_target(cos_BK: Tensor, label_B: Tensor, phi_B: Tensor) -> Tensor:
    """A copy of cos_BK in which each row's entry at its label is phi_B; gradients flow to both."""
    return cos_BK.scatter(1, label_B[:, None], phi_B[:, None])


def smallest_scale(classes: int, reach: float = 1.0, posterior: float = POSTERIOR) -> float:
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


def adacos_scale(classes: int) -> float:
    """sqrt(2) ln(K - 1), AdaCos's fixed scale (Zhang et al. 2019); at least 1, for K < 4."""
    return max(1.0, math.sqrt(2) * math.log(max(classes - 1, 1)))


def auto_scale(classes: int, reach: float = 1.0) -> float:
    """The scale that `auto` means: AdaCos's, but never below the smallest useful one."""
    return max(adacos_scale(classes), smallest_scale(classes, reach))
