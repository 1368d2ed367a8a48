"""Classification heads with a margin on the target's cosine that every image of a class shares.

Shapes: B batch, D embedding, K classes. theta_y is the angle between an embedding and the weight of
its own class, c_j the cosine to class j, s `scale`. All are cross-entropy over s c_j with s phi in
the target's place, and phi falls with theta_y over all of 0..pi without a jump (see margins).
"""

from collections.abc import Iterator
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from starter.losses import margins
from starter.losses.base import Angle, CosineMargin, Gradient, Scale, Warmup, options
from starter.losses.heads import CosineHead
from starter.recipe.schema.base import Positive, Section


class ClassMargins(Section):
    """A margin of each class's own: m_j = least + (most - least) u_j, u_j = n_j^-power of n_j
    images (Ha et al. 2020, 3rd place of Google Landmark Recognition), spread over 0..1 where
    `spread` is on. Classes without images count as with one."""

    least: Annotated[float, Field(ge=0, lt=1.58, description="of a class with many images")] = 0.05
    most: Annotated[float, Field(ge=0, lt=1.58, description="of a class with few images")] = 0.5
    power: Annotated[Positive, Field(description="how fast margins fall with images")] = 0.25
    spread: Annotated[
        bool, Field(description="the rarest class gets most, the commonest least; else one image")
    ] = True

    def of(self, count_K: Tensor) -> Tensor | None:
        """margin_K, float32; None where the margins are spread and all classes have as many
        images."""
        u_K = count_K.double().clamp_min(1) ** -self.power
        if self.spread:
            if u_K.max() == u_K.min():
                return None
            u_K = (u_K - u_K.min()) / (u_K.max() - u_K.min())
        return (self.least + (self.most - self.least) * u_K).float()


@options
class MarginHead(CosineHead):
    """Cross-entropy over scaled cosines with a margin on the target's; subclasses say which.

    margin_warmup: share (0..1) of the stage over which margins grow from none.
    gradient: "exact" or "detached", see margins.angular.
    """

    scale: Scale = 32.0
    margin_warmup: Warmup = 0.0
    gradient: Gradient = "exact"
    margin: float = field(init=False)
    margin_K: Tensor | None = field(init=False)

    refused: ClassVar = {
        "label_smoothing": "a margin is measured to the one true class, smoothing spreads the "
        "target over all; leave it out, or use softmax or normface"
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("margin_K", self.class_margin_K())
        self.settle_scale()

    def class_margin_K(self) -> Tensor | None:
        """A margin of each class's own, None for one that all share."""
        return None

    def mean_margin(self) -> float:
        """The margin, or the mean of all classes'."""
        return self.margin if self.margin_K is None else float(self.margin_K.mean())

    def reach(self) -> float | None:
        return float(self.phi(torch.ones(1, dtype=torch.float64), self.mean_margin()))

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        """The target's cosine after the margin, one for all rows or margin_B."""
        raise NotImplementedError

    def grown(self, margin: Any, progress: float) -> Any:
        """The margin at this share (0..1) of the stage: rising linearly over the warm-up.

        A full margin on a fresh head is a shock of s sin m = 15 logits at s = 32, m = 0.5.
        """
        if progress >= self.margin_warmup:
            return margin
        return margin * progress / self.margin_warmup

    def margin_of(self, label_B: Tensor, progress: float) -> float | Tensor:
        """The margin, or margin_B where classes have their own."""
        margin = self.margin if self.margin_K is None else self.margin_K[label_B]
        return self.grown(margin, progress)

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        """phi_B, the target's cosine after the margin."""
        return self.phi(cos_B, self.margin_of(label_B, progress))

    def others(self, cos_BK: Tensor, cos_B: Tensor, phi_B: Tensor) -> Tensor:
        """cos_BK as the other classes' logits use it."""
        return cos_BK

    def multiplier(self, emb_BD: Tensor) -> Any:
        """What cosines are multiplied by: a number, or one for each row, (B, 1)."""
        return self.scale

    def reduce(self, logits_BK: Tensor, label_B: Tensor, cos_B: Tensor) -> Tensor:
        """The mean loss of a batch."""
        return F.cross_entropy(logits_BK, label_B)

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        cos_BK = self.cosines(emb_BD)
        cos_B = margins.target_of(cos_BK, label_B)
        phi_B = self.target(cos_B, emb_BD, label_B, progress)
        cos_BK = self.others(cos_BK, cos_B, phi_B)
        logits_BK = self.multiplier(emb_BD) * margins.with_target(cos_BK, label_B, phi_B)
        return self.reduce(logits_BK, label_B, cos_B)


@options
class AddedMargin(MarginHead):
    """A margin that is added, so that classes may have their own; the buffer margin_K has them."""

    class_margins: Annotated[
        ClassMargins | None, Field(description="in place of one margin: by images per class")
    ] = None

    @property
    def counted_by(self) -> str | None:
        return None if self.class_margins is None else "class_margins"

    @classmethod
    def mistakes(cls, options: Any) -> Iterator[tuple[str, str]]:
        own = options.class_margins
        if own is not None and own.least > own.most:
            why = f"least {own.least} is above most {own.most}: rare classes get the larger one"
            yield "class_margins.least", why

    def class_margin_K(self) -> Tensor | None:
        if self.class_margins is None:
            return None
        counts = self.class_count_K
        margin_K = None if counts is None else self.class_margins.of(counts)
        # Balanced classes, or the checkpoint's margins are loaded over these.
        return torch.full((self.classes,), self.margin) if margin_K is None else margin_K


@options
class CosFace(AddedMargin):
    """Additive cosine margin. Its slope is the plain cosine's: exact and detached are one."""

    kind = "cosface"
    formula = "z_y = s (c_y - m)"
    paper = "Wang et al. 2018, CosFace"

    margin: CosineMargin = 0.35

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return margins.cosface(cos_B, margin)


@options
class ArcFace(AddedMargin):
    """Additive angular margin."""

    kind = "arcface"
    formula = "z_y = s cos(theta_y + m)"
    paper = "Deng et al. 2019, ArcFace"

    margin: Angle = 0.5

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return margins.arcface(cos_B, margin, self.gradient)


@options
class Combined(AddedMargin):
    """All three margins at once.

    All three count whatever the others are, and all grow over the warm-up (m1 from 1). Class
    margins take the place of m2.
    """

    kind = "combined"
    formula = "z_y = s (cos(m1 theta_y + m2) - m3)"
    paper = "Deng et al. 2019, ArcFace eq. 4"

    m1: Annotated[float, Field(ge=1, le=8, description="a factor on the angle")] = 1.0
    m2: Annotated[float, Field(ge=0, lt=1.58, description="added to the angle, in radians")] = 0.3
    m3: Annotated[float, Field(ge=0, lt=2, description="taken from the cosine")] = 0.2

    def __post_init__(self) -> None:
        self.margin = self.m2
        super().__post_init__()

    def phi(self, cos_B: Tensor, margin: float | Tensor, progress: float = 1.0) -> Tensor:
        m1 = 1 + self.grown(self.m1 - 1, progress)
        return margins.angular(cos_B, m1, margin, self.gradient) - self.grown(self.m3, progress)

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        return self.phi(cos_B, self.margin_of(label_B, progress), progress)


@options
class SphereFace(MarginHead):
    """Multiplicative angular margin, m >= 1 any real number.

    In update n the plain cosine weighs l beside the margin's 1; psi is as in margins.angular. s is
    the embedding's length ("norm", as published) or a number (SphereFace-R: s = 30, m = 1.7,
    gradient detached, no annealing). The buffer `updates` counts n, so a resumed stage anneals on.
    """

    kind = "sphereface"
    formula = "z_y = s (l c_y + psi(m theta_y)) / (1 + l), l = max(to, from / (1 + decay n))"
    paper = "Liu et al. 2017, SphereFace; Liu et al. 2022, SphereFace-R"

    scale: Annotated[
        Positive | Literal["norm", "auto"],
        Field(description="s; norm: the embedding's length; auto: from the number of classes"),
    ] = "norm"
    margin: Annotated[float, Field(ge=1, le=8, description="m, a factor on the angle")] = 4.0
    anneal_from: Annotated[float, Field(ge=0, description="l at the start")] = 1000.0
    anneal_decay: Annotated[float, Field(ge=0, description="how fast l falls an update")] = 0.12
    anneal_to: Annotated[float, Field(ge=0, description="the least l")] = 5.0
    updates: Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def reach(self) -> float | None:
        return None if self.scale == "norm" else 1.0  # psi(0) = 1

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        assert isinstance(margin, float)
        psi_B = margins.angular(cos_B, margin, 0.0, self.gradient)
        falling = self.anneal_from / (1 + self.anneal_decay * self.updates.float())
        plain = falling.clamp_min(self.anneal_to).to(cos_B)
        return (plain * cos_B + psi_B) / (1 + plain)

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        if self.training:
            self.updates += 1
        return self.phi(cos_B, 1 + self.grown(self.margin - 1, progress))

    def multiplier(self, emb_BD: Tensor) -> Any:
        if self.scale == "norm":
            return margins.wide(emb_BD).norm(dim=1, keepdim=True)
        return self.scale

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        cos_BK = self.cosines(emb_BD)
        with margins.full_precision(emb_BD):
            return self.multiplier(emb_BD) * cos_BK
