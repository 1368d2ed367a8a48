"""Heads whose margin or scale follows what they see: the batch, the image or training so far.

Shapes: B batch, D embedding, K classes. What they remember is a buffer: saved, and averaged over
processes, so that it is the same on each.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from starter import distributed
from starter.losses import margins, scales
from starter.losses.heads import CosineHead, Target, fresh_log_sum
from starter.losses.margin_heads import ArcFace, MarginHead


class CurricularFace(ArcFace):
    """ArcFace whose hard negatives come to count more (Huang et al. 2020).

    With T = cos(theta_y + m), a negative of cosine c_j > T has logit s c_j (t + c_j), the others
    s c_j. The buffer t is a running mean of cos theta_y: near 0 at first, where hard negatives
    count little, growing as training goes. At first T is low, so that a negative with c_j < 0 can
    be hard too: its logit s c_j^2 is positive and pulled to 0. That is the paper's formula.
    """

    t: Tensor

    def __init__(self, *, t_momentum: float, **shared: Any):
        super().__init__(**shared)
        self.t_momentum = t_momentum
        self.register_buffer("t", torch.zeros(()))

    def others(self, cos_BK: Tensor, cos_B: Tensor, phi_B: Tensor) -> Tensor:
        if self.training:
            mean = distributed.mean(cos_B.detach().clamp(-1, 1).mean())
            self.t.lerp_(mean.to(self.t), self.t_momentum)
        hard_BK = cos_BK.detach() > phi_B.detach()[:, None]
        return torch.where(hard_BK, cos_BK * (self.t.to(cos_BK) + cos_BK), cos_BK)

    def expected_loss(self, progress: float = 0.0) -> float | None:
        """That of ArcFace with its hard negatives' logits at s c_j^2, for t = 0; the mean over
        seven equally likely cosines to the own class, which say which negatives are hard."""
        classes, dim = self.weight.shape
        s, found = self.scale_now(), []
        cos_M, weight_M = scales.cosines(dim)
        for place in np.searchsorted(weight_M.cumsum(), (np.arange(7) + 0.5) / 7):
            phi = self.typical(float(cos_M[place]), progress)
            logit_M = s * np.where(cos_M > phi, cos_M**2, cos_M)
            found.append(scales.log_sum(classes, logit_M, weight_M, s * phi) - s * phi)
        return sum(found) / len(found)


class AdaFace(MarginHead):
    """A margin that follows image quality (Kim et al. 2022).

    z_y = s (cos(theta_y - m q) - m - m q), q = clip(h (|x| - mean) / (std + 1e-3), -1, 1): short
    embeddings (poor images) get an angular margin of m, long ones an additive one of 2 m. q carries
    no gradient. The buffers mean and std (of lengths, clipped to 1e-3..100) run from 20 and 100. A
    batch of one updates the mean alone. Angles below 0 continue as in margins.angular, where the
    authors' clip leaves no gradient.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, h: float, norm_momentum: float, **shared: Any):
        super().__init__(**shared)
        self.h, self.norm_momentum = h, norm_momentum
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("std", torch.tensor(100.0))

    @torch.no_grad()
    def quality(self, emb_BD: Tensor) -> Tensor:
        """q_B in -1..1 by the embeddings' lengths; moves the running mean and std in training."""
        norm_B = margins.wide(emb_BD).norm(dim=1).clamp(1e-3, 100)
        if self.training:
            self.mean.lerp_(distributed.mean(norm_B.mean()).to(self.mean), self.norm_momentum)
            if len(norm_B) > 1:
                self.std.lerp_(distributed.mean(norm_B.std()).to(self.std), self.norm_momentum)
        mean, std = self.mean.to(norm_B), self.std.to(norm_B)
        return (self.h * (norm_B - mean) / (std + 1e-3)).clamp(-1, 1)

    def phi(self, cos_B: Tensor, margin: float | Tensor, quality: float | Tensor = 0.0) -> Tensor:
        return margins.angular(cos_B, 1.0, -margin * quality, self.gradient) - margin * (
            1 + quality
        )

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        return self.phi(cos_B, self.margin_of(label_B, progress), self.quality(emb_BD))


class MagFace(MarginHead):
    """A margin that grows with the embedding's length a = |x| (Meng et al. 2021).

    z_y = s cos(theta_y + m(a)), m(a) linear from least_margin at a = least_norm to most_margin at
    most_norm, plus norm_weight g(a), g(a) = 1/a + a / most_norm^2, which pulls easy images to be
    long. Gradients flow to a through both (through g alone where `gradient` is detached). Lengths
    outside are clamped, as published; g goes on in a straight line below, so that an embedding too
    short is still pulled, which the authors' code leaves alone.
    """

    def __init__(
        self,
        *,
        least_margin: float,
        most_margin: float,
        least_norm: float,
        most_norm: float,
        norm_weight: float,
        **shared: Any,
    ):
        super().__init__(margin=least_margin, **shared)
        self.least_margin, self.most_margin = least_margin, most_margin
        self.least_norm, self.most_norm = least_norm, most_norm
        self.norm_weight = norm_weight

    def margin_at_length(self, norm: Any) -> Any:
        """m(a) of lengths within least_norm..most_norm."""
        share = (norm - self.least_norm) / (self.most_norm - self.least_norm)
        return self.least_margin + (self.most_margin - self.least_margin) * share

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return margins.angular(cos_B, 1.0, margin, self.gradient)

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        norm_B = margins.wide(emb_BD).norm(dim=1).clamp(self.least_norm, self.most_norm)
        return self.phi(cos_B, self.grown(self.margin_at_length(norm_B), progress))

    def pull(self, norm_B: Tensor) -> Tensor:
        """g_B, least at most_norm."""
        low, high = self.least_norm, self.most_norm
        inside_B = norm_B.clamp(low, high)
        slope = 1 / high**2 - 1 / low**2
        return 1 / inside_B + inside_B / high**2 + slope * (norm_B.clamp_max(low) - low)

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The mean loss with the pull, a scalar; labels only."""
        loss = super().forward(emb_BD, label_B, progress)
        with margins.full_precision(emb_BD):
            return loss + self.norm_weight * self.pull(margins.wide(emb_BD).norm(dim=1)).mean()

    def _usual_length(self) -> float:
        return math.sqrt(self.weight.shape[1])

    def typical(self, cos: float, progress: float) -> float:
        norm = min(max(self._usual_length(), self.least_norm), self.most_norm)
        at = torch.tensor([cos], dtype=torch.float64)
        return float(self.phi(at, self.grown(self.margin_at_length(norm), progress)))

    def expected_loss(self, progress: float = 0.0) -> float | None:
        """That of ArcFace at the margin of length sqrt(D), and the pull there."""
        plain = super().expected_loss(progress)
        assert plain is not None
        return plain + self.norm_weight * float(self.pull(torch.tensor([self._usual_length()])))


class ElasticFace(MarginHead):
    """A margin drawn anew for every image, m_i ~ N(m, sigma^2) (Boutros et al. 2022).

    by_rank is ElasticFace+: the drawn margins are dealt by rank, the largest to the image of the
    smallest cosine. (The authors' code indexes the sorted margins with another permutation than the
    cosines' ranks, which leaves them random.) base: "arcface" (s cos(theta_y + m_i)) or "cosface".
    Drawn in training only.
    """

    def __init__(self, *, base: str, sigma: float, by_rank: bool, **shared: Any):
        super().__init__(**shared)
        self.base, self.sigma, self.by_rank = base, sigma, by_rank

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        if self.base == "cosface":
            return margins.cosface(cos_B, margin)
        return margins.arcface(cos_B, margin, self.gradient)

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        margin = self.margin if self.margin_K is None else self.margin_K[label_B]
        if self.training:
            shift_B = self.sigma * torch.randn_like(cos_B.detach())
            if self.by_rank:
                rank_B = cos_B.detach().argsort().argsort()
                shift_B = shift_B.sort(descending=True).values[rank_B]
            margin = (margin + shift_B).clamp(0, math.pi / 2)
        return self.phi(cos_B, self.grown(margin, progress))


class AdaCos(CosineHead):
    """Cross-entropy over scaled cosines, without a scale to choose (Zhang et al. 2019).

    s starts at sqrt(2) ln(K - 1) and, unless `fixed`, becomes ln B / cos(min(pi/4, median theta_y))
    in each training batch, B the batch's mean of sum_{j != y} exp(s c_j) under the last s. The
    buffer `scale` is at least 1 (K < 4 would begin at 0 and stay there).
    """

    scale: Tensor

    def __init__(self, *, embedding: int, classes: int, fixed: bool):
        super().__init__(embedding=embedding, classes=classes, scale=1.0)
        del self.scale
        self.fixed = fixed
        self.register_buffer("scale", torch.tensor(scales.adacos(classes)))

    @torch.no_grad()
    def adapt(self, cos_BK: Tensor, label_B: Tensor) -> None:
        """Sets the scale by this batch."""
        others_BK = (self.scale * cos_BK).scatter(1, label_B[:, None], -math.inf)
        log_b = others_BK.flatten().logsumexp(0) - math.log(len(cos_BK))
        angle = margins.target_of(cos_BK, label_B).clamp(-1, 1).acos().median()
        new = log_b / angle.clamp_max(math.pi / 4).cos()
        self.scale.copy_(distributed.mean(new.clamp_min(1.0).to(self.scale)))

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar; labels only. `progress` changes nothing."""
        assert isinstance(label_B, Tensor), "the scale follows the angle to one class"
        cos_BK = self.cosines(emb_BD)
        with margins.full_precision(emb_BD):
            if self.training and not self.fixed:
                self.adapt(cos_BK, label_B)
            return F.cross_entropy(self.scale * cos_BK, label_B)

    def expected_loss(self, progress: float = 0.0) -> float:
        """ln K + s^2 / 2D, at the scale that the first batch sets."""
        classes, dim = self.weight.shape
        s = self.scale_now()
        if not self.fixed and classes > 1:
            cos_M, weight_M = scales.cosines(dim)
            log_b = math.log((classes - 1) * (weight_M * np.exp(s * cos_M)).sum())
            s = max(1.0, log_b / math.cos(math.pi / 4))
        return fresh_log_sum(self, s)
