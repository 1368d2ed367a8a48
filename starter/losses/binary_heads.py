"""Heads of K one-against-all decisions with one bias: a threshold that all classes share.

Shapes: B batch, D embedding, K classes. c_j is the cosine to class j, y the true class, s `scale`.
The bias is a scalar parameter, so it has no weight decay.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from starter.losses import margins
from starter.losses.base import CosineMargin, Scale, options
from starter.losses.margin_heads import AddedMargin
from starter.recipe.schema.base import Positive


@options
class SphereFace2(AddedMargin):
    """One-against-all classifiers on the sphere.

    Upper signs and weight w = positive_share for j = y, lower signs and 1 - positive_share for the
    others; the loss is a mean over images. The parameter `offset` (b) starts where the positives'
    pull equals the negatives' (a wrong start stops training). Margins are shifts: exact and
    detached are one.
    """

    kind = "sphereface2"
    formula = "factor/s sum_j w_j softplus(-+ (s (g(c_j) -+ m) + b)), g(z) = 2 ((z+1)/2)^t - 1"
    paper = "Wen et al. 2022, SphereFace2"

    scale: Scale = 40.0
    margin: CosineMargin = 0.4
    t: Annotated[float, Field(ge=1, le=10, description="spreads similarities out")] = 3.0
    positive_share: Annotated[
        float, Field(gt=0, lt=1, description="w of the true class; the others have 1 - w")
    ] = 0.7
    factor: Annotated[Positive, Field(description="on the whole loss")] = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.offset = nn.Parameter(torch.tensor(self.start()))

    def start(self) -> float:
        """b at which, for cosines of 0, both sides' gradients balance (Wen et al. 2022, app. A)."""
        classes, alpha, r = self.classes, self.positive_share, self.scale
        if classes < 2:
            return 0.0
        z = alpha / ((1 - alpha) * (classes - 1))
        middle = 2 * 0.5**self.t - 1
        margin = self.mean_margin()
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

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        cos_BK = self.cosines(emb_BD)
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


@options
class UniFace(AddedMargin):
    """Unified cross-entropy: one threshold b between all matching and all other pairs.

    The sum runs over the other classes, and the loss is a mean over images. The parameter
    `threshold` (b) starts at ln(10 K); b / s is a cosine to verify by. Margins are shifts: exact
    and detached are one. (The authors clamp at +-64 before the exponential, which leaves no
    gradient beyond; softplus needs no clamp.)
    """

    kind = "uniface"
    formula = "softplus(b - s (c_y - m)) + l sum_j softplus(s c_j - b)"
    paper = "Zhou et al. 2023, UniFace"

    margin: CosineMargin = 0.4
    negative_weight: Annotated[Positive, Field(description="l, of the other classes")] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.threshold = nn.Parameter(torch.tensor(math.log(10.0 * self.classes)))

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return cos_B - margin

    def reduce(self, logits_BK: Tensor, label_B: Tensor, cos_B: Tensor) -> Tensor:
        positive_B = F.softplus(self.threshold - margins.target_of(logits_BK, label_B))
        negative_BK = F.softplus(logits_BK - self.threshold)
        negative_B = negative_BK.scatter(1, label_B[:, None], 0.0).sum(dim=1)
        return (positive_B + self.negative_weight * negative_B).mean()

    def reach(self) -> None:
        return None
