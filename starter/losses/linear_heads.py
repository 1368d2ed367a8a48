"""Losses over a linear layer with bias that are not cross-entropy: logits z = W x + b.

Shapes: B batch, D embedding, K classes.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from starter.losses import margins
from starter.losses.base import Smoothing, Target, options
from starter.losses.heads import ByCount, LinearHead, mean_loss


@options
class Focal(LinearHead):
    """Cross-entropy in which an image counts less the surer its class is.

    p = softmax(z). Lin et al. have yes-no questions: for two classes this is theirs of z_1 - z_0.
    alpha: their a, by class: weights by count as `class_weights` of softmax. gamma: 0 is softmax.
    """

    kind = "focal"
    formula = "-a_y (1 - p_y)^gamma ln p_y, p = softmax(W x + b)"
    paper = "Lin et al. 2017, Focal loss"
    mixable = True

    gamma: Annotated[float, Field(ge=0, description="how fast sure images stop to count")] = 2.0
    alpha: ByCount = "none"

    @property
    def weighted_by(self) -> str:
        return self.alpha

    @property
    def counted_by(self) -> str | None:
        return None if self.alpha == "none" else "alpha"

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        z_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return mean_loss(lambda label_B: self.each(z_BK, label_B), target)

    def each(self, z_BK: Tensor, label_B: Tensor) -> Tensor:
        """loss_B. With d = z_y - LSE of the other logits, -ln p_y is softplus(-d) and -ln(1 - p_y)
        is softplus(d): a sure image keeps its digits, and its slope is finite for any gamma."""
        others_BK = z_BK.scatter(1, label_B[:, None], torch.finfo(z_BK.dtype).min)
        d_B = margins.target_of(z_BK, label_B) - others_BK.logsumexp(dim=1)
        loss_B = (-self.gamma * F.softplus(d_B)).exp() * F.softplus(-d_B)
        return loss_B if self.class_weight_K is None else self.class_weight_K[label_B] * loss_B


@options
class BinaryCrossEntropy(LinearHead):
    """A yes-no question for each class: is the image of it?

    t_j = label_smoothing / K, and 1 - label_smoothing more for j = y. The sum runs over classes,
    the mean over images: timm's BinaryCrossEntropy with sum_classes; weight: 1/K makes it timm's
    default. Biases begin at -ln(K - 1), at which each class has a share of 1/K (Lin et al. 2017,
    4.1), or the many wrong classes would rule the first updates.
    """

    kind = "bce"
    formula = "sum_j t_j softplus(-z_j) + (1 - t_j) softplus(z_j), z = W x + b"
    paper = "Wightman et al. 2021, ResNet strikes back"
    mixable = True

    label_smoothing: Smoothing = 0.0

    @property
    def start_bias(self) -> float:
        return -math.log(max(self.classes - 1, 1))

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        z_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return mean_loss(lambda label_B: self.each(z_BK, label_B), target)

    def each(self, z_BK: Tensor, label_B: Tensor) -> Tensor:
        """loss_B, summed over classes."""
        low = self.label_smoothing / self.classes
        high = 1 - self.label_smoothing + low
        t_BK = torch.full_like(z_BK, low).scatter(1, label_B[:, None], high)
        return F.binary_cross_entropy_with_logits(z_BK, t_BK, reduction="none").sum(dim=1)
