"""Classification heads with a margin on the target's cosine that every image of a class shares.

Shapes: B batch, D embedding, K classes. theta_y is the angle between an embedding and the weight of
its own class, c_j the cosine to class j, s `scale`. All are cross-entropy over s c_j with s phi in
the target's place, and phi falls with theta_y over all of 0..pi without a jump (see margins).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from starter.losses import margins, scales
from starter.losses.heads import CosineHead, Target, fresh_log_sum


def margins_by_count(
    least: float, most: float, power: float, spread: bool, count_K: Tensor
) -> Tensor | None:
    """m_j = least + (most - least) u_j, u_j = n_j^-power (Ha et al. 2020, GLR 2020's 3rd place).

    spread: u is stretched over 0..1, so that the rarest class has `most` and the commonest `least`;
    None where all classes have as many images. Classes without images count as with one.
    """
    u_K = count_K.double().clamp_min(1) ** -power
    if spread:
        if u_K.max() == u_K.min():
            return None
        u_K = (u_K - u_K.min()) / (u_K.max() - u_K.min())
    return (least + (most - least) * u_K).float()


class MarginHead(CosineHead):
    """Cross-entropy over scaled cosines with a margin on the target's; subclasses say which.

    margin_warmup: share (0..1) of the stage over which margins grow from none.
    gradient: "exact" or "detached", see margins.angular.
    class_margins: options of margins_by_count, in place of one margin for all; the buffer margin_K
    holds what they come to.
    """

    margin_K: Tensor | None

    def __init__(
        self,
        *,
        embedding: int,
        classes: int,
        scale: float | str,
        margin_warmup: float,
        gradient: str,
        margin: float = 0.0,
        class_margins: dict[str, Any] | None = None,
        class_count_K: Tensor | None = None,
    ):
        super().__init__(embedding=embedding, classes=classes, scale=scale)
        self.margin = margin
        self.margin_warmup = margin_warmup
        self.gradient = gradient
        self.class_margins = class_margins
        margin_K = None
        if class_margins is not None:
            if class_count_K is not None:
                margin_K = margins_by_count(**class_margins, count_K=class_count_K)
            if margin_K is None:  # balanced classes, or the checkpoint's are loaded over these
                margin_K = torch.full((classes,), margin)
        self.register_buffer("margin_K", margin_K)

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

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. Labels only: the recipe's schema refuses mixing here."""
        assert isinstance(label_B, Tensor), "a margin has no meaning between two labels"
        cos_BK = self.cosines(emb_BD)
        with margins.full_precision(emb_BD):
            cos_B = margins.target_of(cos_BK, label_B)
            phi_B = self.target(cos_B, emb_BD, label_B, progress)
            cos_BK = self.others(cos_BK, cos_B, phi_B)
            logits_BK = self.multiplier(emb_BD) * margins.with_target(cos_BK, label_B, phi_B)
            return self.reduce(logits_BK, label_B, cos_B)

    def typical(self, cos: float, progress: float) -> float:
        """phi of this cosine under the mean margin of all classes."""
        margin = self.margin if self.margin_K is None else float(self.margin_K.mean())
        at = torch.tensor([cos], dtype=torch.float64)
        return float(self.phi(at, self.grown(margin, progress)))

    def mean_phi(self, progress: float, of: int = 1) -> float:
        """typical, mean over random directions (the greatest of `of`): about phi(pi / 2)."""
        cos_M, weight_M = scales.cosines(self.weight.shape[-1], of, count=101)
        return float(
            sum(w * self.typical(c, progress) for c, w in zip(cos_M, weight_M, strict=True))
        )

    def reach(self) -> float | None:
        return self.typical(1.0, 1.0)

    def expected_loss(self, progress: float = 0.0) -> float | None:
        """ln K + s^2 / 2D - s phi(pi / 2): s m for CosFace, s sin m for ArcFace."""
        plain = super().expected_loss()
        assert plain is not None
        return plain - self.scale_now() * self.mean_phi(progress)


class CosFace(MarginHead):
    """Additive cosine margin (Wang et al. 2018): s (cos theta_y - m), 0 <= m < 2.

    Its slope is the plain cosine's: exact and detached gradients are one.
    """

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return margins.cosface(cos_B, margin)


class ArcFace(MarginHead):
    """Additive angular margin (Deng et al. 2019): s cos(theta_y + m), m in radians."""

    def phi(self, cos_B: Tensor, margin: float | Tensor) -> Tensor:
        return margins.arcface(cos_B, margin, self.gradient)


class Combined(MarginHead):
    """All three margins (Deng et al. 2019, eq. 4): s (cos(m1 theta_y + m2) - m3).

    m1 >= 1 is a factor, m2 in radians, m3 on the cosine. All three count whatever the others are,
    and all grow over the warm-up (m1 from 1). Class margins take the place of m2.
    """

    def __init__(self, *, m1: float, m2: float, m3: float, **shared: Any):
        super().__init__(margin=m2, **shared)
        self.m1, self.m2, self.m3 = m1, m2, m3

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        return self._combined(cos_B, self.margin_of(label_B, progress), progress)

    def _combined(self, cos_B: Tensor, m2: float | Tensor, progress: float) -> Tensor:
        m1 = 1 + self.grown(self.m1 - 1, progress)
        return margins.angular(cos_B, m1, m2, self.gradient) - self.grown(self.m3, progress)

    def typical(self, cos: float, progress: float) -> float:
        m2 = self.m2 if self.margin_K is None else float(self.margin_K.mean())
        at = torch.tensor([cos], dtype=torch.float64)
        return float(self._combined(at, self.grown(m2, progress), progress))


class SphereFace(MarginHead):
    """Multiplicative angular margin (Liu et al. 2017), m >= 1 any real number:

    z_y = s (l cos theta_y + psi(m theta_y)) / (1 + l), l = max(to, from / (1 + decay n)) in
    update n, psi as in margins.angular. s is the embedding's length ("norm", as published) or a
    number (SphereFace-R, Liu et al. 2022: s = 30, m = 1.7, gradient detached, no annealing).
    The buffer `updates` counts n, so a resumed stage anneals on.
    """

    updates: Tensor

    def __init__(self, *, anneal_from: float, anneal_decay: float, anneal_to: float, **shared: Any):
        super().__init__(**shared)
        self.anneal_from, self.anneal_decay = anneal_from, anneal_decay
        self.anneal_to = anneal_to
        self.by_norm = self.scale == "norm"
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def dilution(self) -> Tensor:
        """l, the weight of the plain cosine beside the margin's 1, a scalar."""
        falling = self.anneal_from / (1 + self.anneal_decay * self.updates.float())
        return falling.clamp_min(self.anneal_to)

    def phi(self, cos_B: Tensor, margin: float | Tensor, dilution: Tensor | None = None) -> Tensor:
        assert isinstance(margin, float)
        psi_B = margins.angular(cos_B, margin, 0.0, self.gradient)
        dilution = (self.dilution() if dilution is None else dilution).to(cos_B)
        return (dilution * cos_B + psi_B) / (1 + dilution)

    def target(self, cos_B: Tensor, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        if self.training:
            self.updates += 1
        return self.phi(cos_B, 1 + self.grown(self.margin - 1, progress))

    def multiplier(self, emb_BD: Tensor) -> Any:
        return margins.wide(emb_BD).norm(dim=1, keepdim=True) if self.by_norm else self.scale

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        cos_BK = self.cosines(emb_BD)
        with margins.full_precision(emb_BD):
            return self.multiplier(emb_BD) * cos_BK

    def typical(self, cos: float, progress: float) -> float:
        at = torch.tensor([cos], dtype=torch.float64)
        annealed = torch.tensor(self.anneal_to) if progress >= 1 else None  # else as it stands
        return float(self.phi(at, 1 + self.grown(self.margin - 1, progress), annealed))

    def reach(self) -> float | None:
        return None if self.by_norm else 1.0  # psi(0) = 1

    def expected_loss(self, progress: float = 0.0) -> float:
        """ln K + s^2 / 2D - s phi(pi / 2), s = sqrt(D) for "norm"."""
        s = self.weight.shape[1] ** 0.5 if self.by_norm else self.scale_now()
        return fresh_log_sum(self, s) - s * self.mean_phi(progress)
