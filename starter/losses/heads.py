"""Classification heads: one weight vector per class, cross-entropy over their logits.

Shapes: B batch, D embedding, K classes. Everything is computed in float32 (float64 if the
embeddings are), whatever the caller's autocast says. Labels are int64 in 0..K-1; any other fails
in torch (IndexError or RuntimeError on a CPU, a device assert on a GPU).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from starter.losses import margins


class Mixed(NamedTuple):
    """The target of mixed images (mixup, cutmix): two labels and the first one's share."""

    label_B: Tensor  # int64
    other_B: Tensor  # int64
    weight_B: Tensor  # float, 0..1: the share of label_B


Target = Tensor | Mixed


def cross_entropy(logits_BK: Tensor, target: Target, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy; for a Mixed target each image's two losses weighted by its share."""
    if isinstance(target, Tensor):
        return F.cross_entropy(logits_BK, target, label_smoothing=label_smoothing)
    own_B, other_B = (
        F.cross_entropy(logits_BK, label_B, label_smoothing=label_smoothing, reduction="none")
        for label_B in (target.label_B, target.other_B)
    )
    weight_B = target.weight_B.to(logits_BK.dtype)
    return (weight_B * own_B + (1 - weight_B) * other_B).mean()


class ClassHead(nn.Module):
    """A term with a weight vector per class. `cosine`: whether only its direction counts."""

    weight: nn.Parameter
    cosine: bool

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        raise NotImplementedError

    def init_from_means(self, mean_KD: Tensor) -> None:
        """Start from the mean embedding of each class."""
        raise NotImplementedError


class Softmax(ClassHead):
    """Cross-entropy over a linear layer with bias."""

    cosine = False

    def __init__(self, *, embedding: int, classes: int, label_smoothing: float):
        super().__init__()
        self.label_smoothing = label_smoothing
        bound = 1 / math.sqrt(embedding)  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(classes, embedding).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(classes))

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK of emb_BD, as trained."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.wide(emb_BD), self.weight, self.bias)

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. `progress` changes nothing."""
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing)

    @torch.no_grad()
    def init_from_means(self, mean_KD: Tensor) -> None:
        """Start as the nearest-class-mean classifier of `mean_KD`, the mean embedding per class.

        w = g mu and b = -g |mu|^2 / 2, so that logits differ by g times half the difference of
        squared distances. g makes them differ by ln(9 (K - 1)) on average at the means: posterior
        0.9 (Bayes for equal spherical classes). Rows of a class without images, not finite, keep
        their start.
        """
        given_K = mean_KD.isfinite().all(dim=1)
        mean = margins.wide(mean_KD[given_K])
        count = len(mean)
        if count < 2:
            return
        # Taking the same vector from every mean shifts all logits alike.
        centred = mean - mean.mean(dim=0)
        # The mean of |mu_i - mu_j|^2 / 2 over i != j.
        spread = centred.square().sum() / (count - 1)
        g = math.log(9 * (count - 1)) / spread.clamp_min(1e-12)
        bias = -0.5 * g * mean.square().sum(dim=1)
        self.weight[given_K] = (g * centred).to(self.weight)
        self.bias[given_K] = (bias - bias.mean()).to(self.bias)


class CosineHead(ClassHead):
    """What NormFace, CosFace and ArcFace share: logits are the cosines times `scale`."""

    cosine = True

    def __init__(self, *, embedding: int, classes: int, scale: float):
        super().__init__()
        self.scale = scale
        # Length about 1: only the direction counts, but the length divides its gradient.
        self.weight = nn.Parameter(torch.randn(classes, embedding) / math.sqrt(embedding))

    def cosines(self, emb_BD: Tensor) -> Tensor:
        """cos_BK between embeddings and class weights, within rounding of -1..1."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.unit(margins.wide(emb_BD)), margins.unit(self.weight))

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        return self.scale * self.cosines(emb_BD)

    @torch.no_grad()
    def init_from_means(self, mean_KD: Tensor) -> None:
        """Point each class weight at its class's mean embedding (`mean_KD`, of any lengths).

        Rows that are zero or not finite (a class without images) keep their start.
        """
        given_K = mean_KD.isfinite().all(dim=1) & mean_KD.ne(0).any(dim=1)
        self.weight[given_K] = margins.unit(margins.wide(mean_KD[given_K])).to(self.weight)


class NormFace(CosineHead):
    """Cross-entropy over scaled cosines (Wang et al. 2017)."""

    def __init__(self, *, embedding: int, classes: int, scale: float, label_smoothing: float):
        super().__init__(embedding=embedding, classes=classes, scale=scale)
        self.label_smoothing = label_smoothing

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. `progress` changes nothing."""
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing)


class MarginHead(CosineHead):
    """Cross-entropy over scaled cosines with a margin on the target's; subclasses say which."""

    def __init__(
        self, *, embedding: int, classes: int, scale: float, margin: float, margin_warmup: float
    ):
        super().__init__(embedding=embedding, classes=classes, scale=scale)
        self.margin = margin
        self.margin_warmup = margin_warmup

    def phi(self, cos_B: Tensor, margin: float) -> Tensor:
        raise NotImplementedError

    def margin_at(self, progress: float) -> float:
        """The margin at this share (0..1) of the stage: rising linearly over the warm-up.

        A full margin on a fresh head is a shock of s sin m = 15 logits at s = 32, m = 0.5.
        """
        if progress >= self.margin_warmup:
            return self.margin
        return self.margin * progress / self.margin_warmup

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. Labels only: the recipe's schema refuses mixing here."""
        assert isinstance(label_B, Tensor), "a margin has no meaning between two labels"
        cos_BK = self.cosines(emb_BD)
        with margins.full_precision(emb_BD):
            phi_B = self.phi(margins.target_of(cos_BK, label_B), self.margin_at(progress))
            logits_BK = self.scale * margins.with_target(cos_BK, label_B, phi_B)
            return F.cross_entropy(logits_BK, label_B)


class CosFace(MarginHead):
    """Additive cosine margin (Wang et al. 2018): s (cos theta_y - m)."""

    def phi(self, cos_B: Tensor, margin: float) -> Tensor:
        return margins.cosface(cos_B, margin)


class ArcFace(MarginHead):
    """Additive angular margin (Deng et al. 2019): s cos(theta_y + m); see margins.arcface."""

    def __init__(
        self,
        *,
        embedding: int,
        classes: int,
        scale: float,
        margin: float,
        margin_warmup: float,
        gradient: str,
    ):
        super().__init__(
            embedding=embedding,
            classes=classes,
            scale=scale,
            margin=margin,
            margin_warmup=margin_warmup,
        )
        self.gradient = gradient

    def phi(self, cos_B: Tensor, margin: float) -> Tensor:
        return margins.arcface(cos_B, margin, self.gradient)
