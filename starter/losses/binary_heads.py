"""Heads of K one-against-all decisions with one bias: a threshold that all classes share.

Shapes: B batch, D embedding, K classes. c_j is the cosine to class j, y the true class, s `scale`.
The bias is a scalar parameter, so it has no weight decay.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from starter.losses import margins, scales
from starter.losses.margin_heads import MarginHead


class SphereFace2(MarginHead):
    """One-against-all classifiers on the sphere (Wen et al. 2022):

    factor / s * mean_i sum_j w_ij softplus(-+ (s (g(c_j) -+ m) + b)), upper signs and weight
    w = positive_share for j = y, lower signs and 1 - positive_share for the others;
    g(z) = 2 ((z + 1) / 2)^t - 1. The parameter `offset` (b) starts where the positives' pull equals
    the negatives' (a wrong start stops training). Margins are shifts: exact and detached are one.
    """

    def __init__(self, *, t: float, positive_share: float, factor: float, **shared: Any):
        super().__init__(**shared)
        self.t, self.positive_share, self.factor = t, positive_share, factor
        self.offset = nn.Parameter(torch.zeros(()))

    def settle(self) -> None:
        """Also sets the offset's start, which depends on the scale."""
        super().settle()
        with torch.no_grad():
            self.offset.fill_(self.start())

    def start(self) -> float:
        """b at which, for cosines of 0, both sides' gradients balance (Wen et al. 2022, app. A)."""
        classes, alpha, r = len(self.weight), self.positive_share, self.scale_now()
        if classes < 2:
            return 0.0
        z = alpha / ((1 - alpha) * (classes - 1))
        middle = 2 * 0.5**self.t - 1
        margin = self.margin if self.margin_K is None else float(self.margin_K.mean())
        a_y, a_i = r * (middle - margin), r * (middle + margin)
        # ln(2 z) - ln(1 - z + sqrt((1 - z)^2 + 4 z e^(a_y - a_i))) - a_i, the root taken apart so
        # that z near 1 and above loses no digits.
        small = 4 * z * math.exp(a_y - a_i)
        root = math.hypot(1 - z, math.sqrt(small))
        below = 1 - z + root if z < 1 else small / (root - (1 - z))
        return math.log(2 * z) - math.log(below) - a_i

    def spread(self, cos: Tensor) -> Tensor:
        """g, from -1..1 onto -1..1."""
        return 2 * ((cos + 1) / 2).clamp(0, 1) ** self.t - 1 if self.t != 1 else cos

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return self.spread(cos_B) - margin

    def forward(self, emb_BD: Tensor, label_B: Any, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar; labels only."""
        assert isinstance(label_B, Tensor), "a margin has no meaning between two labels"
        cos_BK = self.cosines(emb_BD)
        with margins.full_precision(emb_BD):
            margin = self.margin_of(label_B, progress)
            g_BK = self.spread(cos_BK)
            phi_B = margins.target_of(g_BK, label_B) - margin
            push_B1 = margin[:, None] if isinstance(margin, Tensor) else margin
            positive_B = F.softplus(-(self.scale * phi_B + self.offset))
            negative_BK = F.softplus(self.scale * (g_BK + push_B1) + self.offset)
            negative_B = negative_BK.scatter(1, label_B[:, None], 0.0).sum(dim=1)
            loss_B = self.positive_share * positive_B + (1 - self.positive_share) * negative_B
            return self.factor / self.scale * loss_B.mean()

    def reach(self) -> None:
        return None

    steadiness = 0.5  # a sum of exponentials, not its logarithm

    def expected_loss(self, progress: float = 0.0) -> float:
        """The formula's mean over random cosines."""
        classes, dim = self.weight.shape
        margin = self.margin if self.margin_K is None else float(self.margin_K.mean())
        m, s, b = self.grown(margin, progress), self.scale_now(), self.offset.item()
        cos_M, weight_M = scales.cosines(dim)
        g_M = 2 * ((cos_M + 1) / 2) ** self.t - 1
        positive = (weight_M * np.logaddexp(0, -(s * (g_M - m) + b))).sum()
        negative = (weight_M * np.logaddexp(0, s * (g_M + m) + b)).sum()
        share = self.positive_share
        return float(self.factor / s * (share * positive + (1 - share) * (classes - 1) * negative))


class UniFace(MarginHead):
    """Unified cross-entropy: one threshold b between all matching and all other pairs (Zhou et
    al. 2023):

    mean_i softplus(b - s (c_y - m)) + negative_weight sum_{j != y} softplus(s c_j - b). The
    parameter `threshold` (b) starts at ln(10 K); b / s is a cosine to verify by. Margins are
    shifts: exact and detached are one. (The authors clamp at +-64 before the exponential, which
    leaves no gradient beyond; softplus needs no clamp.)
    """

    def __init__(self, *, negative_weight: float, **shared: Any):
        super().__init__(**shared)
        self.negative_weight = negative_weight
        self.threshold = nn.Parameter(torch.tensor(math.log(10.0 * len(self.weight))))

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return cos_B - margin

    def reduce(self, logits_BK: Tensor, label_B: Tensor, cos_B: Tensor) -> Tensor:
        positive_B = F.softplus(self.threshold - margins.target_of(logits_BK, label_B))
        negative_BK = F.softplus(logits_BK - self.threshold)
        negative_B = negative_BK.scatter(1, label_B[:, None], 0.0).sum(dim=1)
        return (positive_B + self.negative_weight * negative_B).mean()

    def reach(self) -> None:
        return None

    steadiness = 0.5  # a sum of exponentials, not its logarithm

    def expected_loss(self, progress: float = 0.0) -> float:
        """The formula's mean over random cosines."""
        classes, dim = self.weight.shape
        margin = self.margin if self.margin_K is None else float(self.margin_K.mean())
        m, s, b = self.grown(margin, progress), self.scale_now(), self.threshold.item()
        cos_M, weight_M = scales.cosines(dim)
        positive = (weight_M * np.logaddexp(0, b - s * (cos_M - m))).sum()
        negative = (weight_M * np.logaddexp(0, s * cos_M - b)).sum()
        return float(positive + self.negative_weight * (classes - 1) * negative)
