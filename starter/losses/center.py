"""Losses to one centre or proxy of each class.

Shapes: B batch, D embedding, K classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from starter import distributed
from starter.losses import margins
from starter.losses.heads import CosineHead, Target
from starter.losses.similarity import NOTHING, masked_mean


class Center(nn.Module):
    """Center loss (Wen et al. 2016): mean_i |x_i - c_yi|^2 / 2, beside a loss that parts classes.

    Centres follow their class after each training batch: c_j += rate * sum_{i of j} (x_i - c_j) /
    (1 + n_j), n_j its images in the batch of all processes. They start at 0 and are a buffer,
    `center_KD`: saved, but not trained by the optimizer. unit: of unit embeddings; without it the
    pull to be short works against a cosine. Alone it collapses everything onto one point. The paper
    sums over the batch with weight 0.003: here, with a mean, that is a weight of 0.003 B.
    """

    center_KD: Tensor

    def __init__(self, *, embedding: int, classes: int, rate: float, unit: bool):
        super().__init__()
        self.rate, self.unit = rate, unit
        self.register_buffer("center_KD", torch.zeros(classes, embedding))

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. label_B: int64. `progress` is not used."""
        assert isinstance(label_B, Tensor), "a mixed image has no centre"
        with margins.full_precision(emb_BD):
            x_BD = margins.wide(emb_BD)
            x_BD = margins.unit(x_BD) if self.unit else x_BD
            away_BD = x_BD - self.center_KD[label_B].to(x_BD)
            if self.training:
                self._follow(away_BD.detach(), label_B)
            return away_BD.square().sum(dim=1).mean() / 2

    @torch.no_grad()
    def _follow(self, away_BD: Tensor, label_B: Tensor) -> None:
        sum_KD = torch.zeros_like(self.center_KD).index_add_(0, label_B, away_BD.to(self.center_KD))
        one_B = torch.ones_like(label_B, dtype=sum_KD.dtype)
        count_K = torch.zeros_like(sum_KD[:, 0]).index_add_(0, label_B, one_B)
        sum_KD, count_K = distributed.total(sum_KD), distributed.total(count_K)
        self.center_KD.add_(self.rate * sum_KD / (1 + count_K)[:, None])


class ProxyAnchor(CosineHead):
    """Proxy-Anchor loss (Kim et al. 2020): each class's weight is an anchor among the batch.

    mean over classes in the batch of ln(1 + sum_{x of j} exp(-s (c_xj - m))) + mean over all
    classes of ln(1 + sum_{x not of j} exp(s (c_xj + m))). s: alpha; m: delta. The paper trains the
    proxies 100 times as fast as the backbone: optimizer.lr_scale.head.
    """

    def __init__(self, *, margin: float, **shared: Any):
        super().__init__(**shared)
        self.margin = margin

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The loss, a scalar. label_B: int64. `progress` is not used."""
        assert isinstance(label_B, Tensor), "a mixed image has no proxy"
        cos_BK = self.cosines(emb_BD)
        with margins.full_precision(emb_BD):
            s, m = self.scale, self.margin
            own_BK = F.one_hot(label_B, len(self.weight)).bool()
            near_K = (-s * (cos_BK - m)).masked_fill(~own_BK, NOTHING).logsumexp(dim=0)
            away_K = (s * (cos_BK + m)).masked_fill(own_BK, NOTHING).logsumexp(dim=0)
            return masked_mean(F.softplus(near_K), own_BK.any(dim=0)) + F.softplus(away_K).mean()

    def expected_loss(self, progress: float = 0.0) -> None:
        return None

    def reach(self) -> None:
        return None
