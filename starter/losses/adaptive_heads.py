"""Heads whose margin or scale follows what they see: the batch, the image or training so far.

Shapes: B batch, D embedding, K classes. What they remember is a buffer: saved, and averaged over
processes, so that it is the same on each.
"""

import math
from collections.abc import Iterator
from dataclasses import field
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from starter import distributed
from starter.losses import margins
from starter.losses.base import Angle, Momentum, options
from starter.losses.heads import CosineHead
from starter.losses.margin_heads import AddedMargin, ArcFace, MarginHead
from starter.recipe.schema.base import Positive


@options
class CurricularFace(ArcFace):
    """ArcFace whose hard negatives come to count more.

    With T = cos(theta_y + m), a negative of cosine c_j > T has logit s c_j (t + c_j), the others
    s c_j. The buffer t is a running mean of cos theta_y: near 0 at first, where hard negatives
    count little, growing as training goes. At first T is low, so that a negative with c_j < 0 can
    be hard too: its logit s c_j^2 is positive and pulled to 0. That is the paper's formula.
    """

    kind = "curricularface"
    formula = "T = cos(theta_y + m); z_j = s c_j (t + c_j) where c_j > T; t: running mean of c_y"
    paper = "Huang et al. 2020, CurricularFace"

    t_momentum: Momentum = 0.01
    t: Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("t", torch.zeros(()))

    def others(self, cos_BK: Tensor, cos_B: Tensor, phi_B: Tensor) -> Tensor:
        if self.training:
            mean = distributed.mean(cos_B.detach().clamp(-1, 1).mean())
            self.t.lerp_(mean.to(self.t), self.t_momentum)
        hard_BK = cos_BK.detach() > phi_B.detach()[:, None]
        return torch.where(hard_BK, cos_BK * (self.t.to(cos_BK) + cos_BK), cos_BK)


@options
class AdaFace(AddedMargin):
    """A margin that follows image quality, read from the embedding's length.

    Short embeddings (poor images) get an angular margin of m, long ones an additive one of 2 m. q
    carries no gradient, and its divisor is std + 1e-3. The buffers mean and std (of lengths,
    clipped to 1e-3..100) run from 20 and 100. A batch of one updates the mean alone. Angles below 0
    continue as in margins.angular, where the authors' clip leaves no gradient.
    """

    kind = "adaface"
    formula = "z_y = s (cos(theta_y - m q) - m - m q), q = clip(h (|x| - mean) / std, -1, 1)"
    paper = "Kim et al. 2022, AdaFace"

    margin: Angle = 0.4
    h: Annotated[Positive, Field(description="how strongly length counts")] = 0.333
    norm_momentum: Momentum = 0.01
    mean: Tensor = field(init=False)
    std: Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
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


@options
class MagFace(MarginHead):
    """A margin that grows with the embedding's length a = |x|, and a pull to be long.

    m(a) is linear from least_margin at a = least_norm to most_margin at most_norm. Gradients flow
    to a through both parts (through the pull alone where `gradient` is detached). Lengths outside
    are clamped, as published; the pull goes on in a straight line below, so that an embedding too
    short is still pulled, which the authors' code leaves alone.
    """

    kind = "magface"
    formula = "z_y = s cos(theta_y + m(a)), a = |x|; + norm_weight (1/a + a / most_norm^2)"
    paper = "Meng et al. 2021, MagFace"

    least_margin: Annotated[float, Field(ge=0, lt=1.58, description="at the least length")] = 0.45
    most_margin: Annotated[float, Field(ge=0, lt=1.58, description="at the greatest length")] = 0.8
    least_norm: Annotated[Positive, Field(description="lengths below count as this")] = 10.0
    most_norm: Annotated[Positive, Field(description="lengths above count as this")] = 110.0
    norm_weight: Annotated[float, Field(ge=0, description="of the pull to be long")] = 35.0

    @classmethod
    def mistakes(cls, options: Any) -> Iterator[tuple[str, str]]:
        low, high = options.least_norm, options.most_norm
        if low >= high or options.least_margin > options.most_margin:
            why = "must not lie above most_norm, nor least_margin above most_margin"
            yield "least_norm", why
            return
        slope = (options.most_margin - options.least_margin) / (high - low)
        scale = 0.0 if options.scale == "auto" else options.scale
        least = scale * slope * high**2 * low**2 / (high**2 - low**2)
        if options.norm_weight < least:
            yield (
                "norm_weight",
                f"{options.norm_weight} is below s k u^2 l^2 / (u^2 - l^2) = {least:.4g}, where "
                "the margin would pull lengths down (MagFace, lemma 1); raise it or lower scale",
            )

    def __post_init__(self) -> None:
        self.margin = self.least_margin
        super().__post_init__()

    def reach(self) -> float | None:
        usual = min(max(math.sqrt(self.embedding), self.least_norm), self.most_norm)
        return float(self.phi(torch.ones(1, dtype=torch.float64), self.margin_at_length(usual)))

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

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        loss = super().of_labels(emb_BD, label_B, progress)
        return loss + self.norm_weight * self.pull(emb_BD.norm(dim=1)).mean()


@options
class ElasticFace(AddedMargin):
    """A margin drawn anew for every image, in training only.

    by_rank is ElasticFace+: the drawn margins are dealt by rank, the largest to the image of the
    smallest cosine. (The authors' code indexes the sorted margins with another permutation than the
    cosines' ranks, which leaves them random.)
    """

    kind = "elasticface"
    formula = "ArcFace or CosFace with m_i ~ N(m, sigma)"
    paper = "Boutros et al. 2022, ElasticFace"

    base: Annotated[Literal["arcface", "cosface"], Field(description="what the margin is")] = (
        "arcface"
    )
    margin: Angle = 0.5
    sigma: Annotated[float, Field(ge=0, lt=0.5, description="spread of the margins")] = 0.0125
    by_rank: Annotated[
        bool, Field(description="ElasticFace+: larger margins to images further off")
    ] = False

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


@options
class AdaCos(CosineHead):
    """Cross-entropy over scaled cosines, without a scale to choose.

    s starts at sqrt(2) ln(K - 1) and, unless `fixed`, is set anew in each training batch, B being
    the batch's mean of sum_{j != y} exp(s c_j) under the last s. The buffer `scale` is at least 1
    (K < 4 would begin at 0 and stay there).
    """

    kind = "adacos"
    formula = "CE(s c), s from ln B / cos(min(pi/4, median theta_y)), B = mean sum exp(s c_j)"
    paper = "Zhang et al. 2019, AdaCos"

    fixed: Annotated[bool, Field(description="keep s = sqrt(2) ln(K - 1)")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("scale", torch.tensor(margins.adacos_scale(self.classes)))

    @torch.no_grad()
    def adapt(self, cos_BK: Tensor, label_B: Tensor) -> None:
        """Sets the scale by this batch."""
        others_BK = (self.scale * cos_BK).scatter(1, label_B[:, None], -math.inf)
        log_b = others_BK.flatten().logsumexp(0) - math.log(len(cos_BK))
        angle = margins.target_of(cos_BK, label_B).clamp(-1, 1).acos().median()
        new = log_b / angle.clamp_max(math.pi / 4).cos()
        self.scale.copy_(distributed.mean(new.clamp_min(1.0).to(self.scale)))

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        cos_BK = self.cosines(emb_BD)
        if self.training and not self.fixed:
            self.adapt(cos_BK, label_B)
        return F.cross_entropy(self.scale * cos_BK, label_B)
