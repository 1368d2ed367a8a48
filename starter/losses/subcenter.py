"""Several centres a class: for classes with wrong or very different images.

Shapes: B batch, D embedding, K classes, C centres a class, N images.
"""

import math
from dataclasses import field
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from starter import distributed
from starter.losses import margins
from starter.losses.base import options
from starter.losses.margin_heads import ArcFace
from starter.recipe.schema.base import Count, Fraction

MEMORY = 0.999  # share of the wins kept from one update to the next


@options
class SubCenter(ArcFace):
    """ArcFace with C centres a class, for noisy labels.

    weight: (K, C, D). Images that are not of their class gather at centres of their own. The
    centre most used by its class is dominant: `wins_KC`, a buffer, counts uses in training with a
    memory of about 1,000 updates.

    clean_degrees (75 in the paper): from the share `clean_from` of the stage on, images further
    than this from the dominant centre of their class are left out of the loss. After training,
    `far` finds them, and `single` gives one centre a class; a later stage with one centre a class
    (arcface, cosface, ...) takes the dominant ones by itself.
    """

    kind = "subcenter"
    formula = "ArcFace of c_j = max over a class's centres"
    paper = "Deng et al. 2020, Sub-center ArcFace"

    centers: Annotated[Count, Field(description="of each class")] = 3
    clean_degrees: Annotated[
        float | None,
        Field(gt=0, lt=180, description="leave out images further from the dominant centre"),
    ] = None
    clean_from: Annotated[Fraction, Field(description="share of the stage before cleaning")] = 0.5
    wins_KC: Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        start_KCD = torch.randn(self.classes, self.centers, self.embedding)
        self.weight = nn.Parameter(start_KCD / math.sqrt(self.embedding))
        self.register_buffer("wins_KC", torch.zeros(self.classes, self.centers))
        self._keep_B: Tensor | None = None

    def cosines_by_center(self, emb_BD: Tensor) -> Tensor:
        """cos_BKC to each centre."""
        with margins.full_precision(emb_BD):
            weight = margins.unit(self.weight.flatten(0, 1))
            return F.linear(margins.unit(margins.wide(emb_BD)), weight).unflatten(
                1, (-1, self.centers)
            )

    def cosines(self, emb_BD: Tensor) -> Tensor:
        """cos_BK to the nearest centre of each class; only that centre gets a gradient."""
        return self.cosines_by_center(emb_BD).max(dim=2).values

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        phi_B = super().target(cos_B, emb_BD, label_B, progress)
        self._keep_B = None
        with torch.no_grad():
            own_BC = self._own(emb_BD, label_B)
            if self.training:
                self._count(own_BC, label_B)
            if self.clean_degrees is not None and progress >= self.clean_from:
                self._keep_B = ~self._far(own_BC, label_B, self.clean_degrees)
        return phi_B

    def reduce(self, logits_BK: Tensor, label_B: Tensor, cos_B: Tensor) -> Tensor:
        if self._keep_B is None:
            return F.cross_entropy(logits_BK, label_B)
        loss_B = F.cross_entropy(logits_BK, label_B, reduction="none")
        return (loss_B * self._keep_B).sum() / self._keep_B.sum().clamp_min(1)

    def _own(self, emb_BD: Tensor, label_B: Tensor) -> Tensor:
        """cos_BC to the centres of each row's own class."""
        unit_BD = margins.unit(margins.wide(emb_BD.detach()))
        own_BCD = F.normalize(self.weight.detach()[label_B], dim=2, eps=1e-6)
        return torch.einsum("bd,bcd->bc", unit_BD, own_BCD.to(unit_BD))

    def _count(self, own_BC: Tensor, label_B: Tensor) -> None:
        uses_KC = torch.zeros_like(self.wins_KC)
        place = (label_B, own_BC.argmax(dim=1))
        uses_KC.index_put_(place, torch.ones_like(uses_KC[:1, 0]), accumulate=True)
        self.wins_KC.mul_(MEMORY).add_(distributed.total(uses_KC))

    def _far(self, own_BC: Tensor, label_B: Tensor, degrees: float) -> Tensor:
        dominant_B = self.wins_KC.argmax(dim=1)[label_B]
        return margins.target_of(own_BC, dominant_B) < math.cos(math.radians(degrees))

    @torch.no_grad()
    def far(self, emb_ND: Tensor, label_N: Tensor, degrees: float = 75.0) -> Tensor:
        """far_N: which images lie more than `degrees` from the dominant centre of their class."""
        with margins.full_precision(emb_ND):
            return self._far(self._own(emb_ND, label_N), label_N, degrees)

    @torch.no_grad()
    def class_vectors(self) -> Tensor:
        """weight_KD: the dominant centre of each class, of length 1."""
        return dominant(self.weight, self.wins_KC)

    @torch.no_grad()
    def init_from_means(self, mean_KD: Tensor) -> None:
        """Points each class's first centre at its mean embedding and the others 30 degrees beside
        it, each its own way: equal centres would all win together and stay equal.

        Rows that are zero or not finite (a class without images) keep their start.
        """
        given_K = mean_KD.isfinite().all(dim=1) & mean_KD.ne(0).any(dim=1)
        mean_KD = margins.unit(margins.wide(mean_KD[given_K])).to(self.weight)
        beside = margins.unit(self.weight[given_K].flatten(0, 1)).view_as(self.weight[given_K])
        beside[:, 0] = 0
        self.weight[given_K] = F.normalize(mean_KD[:, None] + 0.5 * beside, dim=2, eps=1e-6)


@torch.no_grad()
def dominant(weight_KCD: Tensor, wins_KC: Tensor) -> Tensor:
    """weight_KD: the centre of each class with the most wins, of length 1."""
    rows = torch.arange(len(weight_KCD), device=weight_KCD.device)
    return F.normalize(weight_KCD[rows, wins_KC.argmax(dim=1)], dim=1, eps=1e-6)
