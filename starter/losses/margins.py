"""Cosines, and margins as functions of the target cosine.

Shapes: B batch, D embedding, K classes. cos_B is the cosine between each embedding and its own
class weight; a margin turns it into phi_B, and only these B numbers are ever changed.
"""

import math
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_SLOPE = 8.0  # d phi / d cos of arcface; the true slope grows without bound towards 0 and pi


def wide(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if they already are."""
    return x if x.dtype == torch.float64 else x.float()


def full_precision(x: Tensor) -> AbstractContextManager:
    """No autocast on x's device: bf16 cosines resolve no angle below 5 degrees, fp16 below 1.8."""
    return torch.autocast(x.device.type, enabled=False)


def unit(x_ND: Tensor) -> Tensor:
    """Rows scaled to length 1. Rows shorter than 1e-6 stay shorter; their gradients stay finite."""
    return F.normalize(x_ND, dim=1, eps=1e-6)


def cosface(cos_B: Tensor, margin: float) -> Tensor:
    """phi = cos - m (Wang et al. 2018)."""
    return cos_B - margin


def arcface(cos_B: Tensor, margin: float, gradient: str = "exact") -> Tensor:
    """phi = cos(theta + m) up to theta + m = pi, and -2 - cos(theta + m) beyond.

    Deng et al. 2019, continued as SphereFace's psi is (Liu et al. 2017), so that phi falls
    monotonically with the angle, without a jump in value or slope. margin: 0 <= m < pi/2.

    gradient: "exact" is phi's own slope d phi / d cos = |sin(theta + m)| / sin(theta), held at
    MAX_SLOPE where theta is within a few degrees of 0 or pi; "detached" is 1, the plain cosine's.
    The value is the same. Both stay finite for collinear and opposite vectors, since the slope is
    computed outside autograd and multiplied back: neither acos nor sqrt is differentiated.
    """
    with torch.no_grad():
        # Rounding puts the cosine of collinear vectors past 1 in three cases out of ten.
        cos = cos_B.clamp(-1.0, 1.0)
        sin = ((1.0 - cos) * (1.0 + cos)).sqrt()
        cos_m, sin_m = math.cos(margin), math.sin(margin)
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


def target_of(cos_BK: Tensor, label_B: Tensor) -> Tensor:
    """cos_B: each row's entry at its label."""
    return cos_BK.gather(1, label_B[:, None]).squeeze(1)


def with_target(cos_BK: Tensor, label_B: Tensor, phi_B: Tensor) -> Tensor:
    """A copy of cos_BK in which each row's entry at its label is phi_B; gradients flow to both."""
    return cos_BK.scatter(1, label_B[:, None], phi_B[:, None])
