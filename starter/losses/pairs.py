"""Losses over the pairs of a batch.

Shapes: B batch, D embedding. Rows are anchors; float32 (float64 if the embeddings are) whatever
the caller's autocast says.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from starter.losses import margins
from starter.losses.base import Loss, options
from starter.recipe.schema.base import Positive


def distances(emb_BD: Tensor, p: float = 2.0, squared: bool = False) -> Tensor:
    """Distances dist_BB between unit embeddings in the p-norm: Euclidean ones are 1e-4..2.

    |a - b|^2 = 2 - 2 a.b, plus 1e-8 inside the root, whose slope is infinite at 0 (torch 2.15 stops
    that at the clamp, earlier ones pass NaN on). squared: their squares, 0..4 for p = 2.
    """
    z_BD = margins.unit(emb_BD)
    if p != 2.0:
        dist_BB = torch.cdist(z_BD, z_BD, p=p)  # its backward leaves out distances of 0
        return dist_BB.square() if squared else dist_BB
    square_BB = (2 - 2 * z_BD @ z_BD.T).clamp_min(0)
    return square_BB if squared else (square_BB + 1e-8).sqrt()


@options
class Triplet(Loss):
    """Triplet loss on unit embeddings.

    d is the distance in the p-norm (p >= 1; 2 is Euclidean), or its square. mining "batch_all":
    every triplet. "batch_hard" (Hermans et al. 2017): one per anchor, its farthest positive and
    nearest negative. "semi_hard" (Schroff et al. 2015): one per anchor and positive, the nearest
    negative with d_ap < d_an < d_ap + margin (no upper end for "soft"), or the nearest of all
    when there is none. The loss is the mean over triplets, those at 0 included, so that its scale
    does not depend on how many are still active. Anchors without a positive or a negative are
    skipped; a batch without any triplet has loss 0.
    """

    kind = "triplet"
    formula = "mean [d_ap - d_an + m]+, or softplus(d_ap - d_an)"
    paper = "Schroff et al. 2015, FaceNet; Hermans et al. 2017"
    mines_pairs = True

    mining: Annotated[
        Literal["batch_all", "batch_hard", "semi_hard"],
        Field(description="which negatives are taken"),
    ] = "batch_hard"
    margin: Annotated[
        Positive | Literal["soft"], Field(description="in distance, or soft: softplus")
    ] = 0.3
    squared: Annotated[bool, Field(description="distances are squared")] = False
    p: Annotated[
        float, Field(ge=1, le=10, description="p of the distance's norm; 2: Euclidean")
    ] = 2.0

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        dist_BB = distances(emb_BD, self.p, self.squared)
        same_BB = label_B[:, None] == label_B
        mine = MINING[self.mining]
        reach = float("inf") if isinstance(self.margin, str) else self.margin
        d_ap, d_an, valid = mine(dist_BB, same_BB, reach)
        if isinstance(self.margin, str):
            loss = F.softplus(d_ap - d_an)  # log(1 + exp(x)) would overflow
        else:
            loss = F.relu(d_ap - d_an + self.margin)
        return (loss * valid).sum() / valid.sum().clamp_min(1)


def others(same_BB: Tensor) -> Tensor:
    """positive_BB: the same identity, and not the anchor itself."""
    return same_BB & ~torch.eye(len(same_BB), dtype=torch.bool, device=same_BB.device)


def batch_hard(dist_BB: Tensor, same_BB: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """(d_ap_B, d_an_B, valid_B): each anchor's farthest positive and nearest negative.

    `reach` is not used. Where valid_B is False the distances are meaningless but finite.
    """
    positive_BB = others(same_BB)
    fixed_BB = dist_BB.detach()
    farthest_B = fixed_BB.masked_fill(~positive_BB, -1).argmax(dim=1)
    nearest_B = fixed_BB.masked_fill(same_BB, float("inf")).argmin(dim=1)
    valid_B = positive_BB.any(dim=1) & ~same_BB.all(dim=1)
    d_ap_B = margins.target_of(dist_BB, farthest_B)
    return d_ap_B, margins.target_of(dist_BB, nearest_B), valid_B


def semi_hard(dist_BB: Tensor, same_BB: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """(d_ap_BB, d_an_BB, valid_BB): for each anchor and positive the semi-hard negative.

    The nearest negative with d_ap < d_an < d_ap + reach, else the nearest of all. Found by
    sorting each anchor's negatives, O(B^2 log B), so that no (B, B, B) mask is built.
    """
    # Non-negatives sort last, as infinitely far.
    sorted_BB, order_BB = dist_BB.detach().masked_fill(same_BB, float("inf")).sort(dim=1)
    fixed_BB = dist_BB.detach()
    place_BB = torch.searchsorted(sorted_BB, fixed_BB, right=True).clamp_max(len(dist_BB) - 1)
    next_BB = sorted_BB.gather(1, place_BB)
    semi_BB = (next_BB > fixed_BB) & (next_BB < fixed_BB + reach) & next_BB.isfinite()
    negative_BB = order_BB.gather(1, place_BB.where(semi_BB, 0))
    valid_BB = others(same_BB) & ~same_BB.all(dim=1, keepdim=True)
    return dist_BB, dist_BB.gather(1, negative_BB), valid_BB


def batch_all(dist_BB: Tensor, same_BB: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """(d_ap_BP1, d_an_B1B, valid_BPB): every anchor with every positive and every negative.

    P is the most positives of any anchor; reading it waits for the device, but keeps a batch of pk
    from needing B^3 numbers. `reach` is not used.
    """
    positive_BB = others(same_BB)
    most = max(int(positive_BB.sum(dim=1).max()), 1)
    real_BP, place_BP = positive_BB.to(torch.int8).topk(min(most, len(same_BB)), dim=1)
    valid_BPB = real_BP.bool()[:, :, None] & ~same_BB[:, None, :]
    return dist_BB.gather(1, place_BP)[:, :, None], dist_BB[:, None, :], valid_BPB


MINING = {"batch_all": batch_all, "batch_hard": batch_hard, "semi_hard": semi_hard}
