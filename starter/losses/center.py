"""Losses to one centre or proxy of each class.

Shapes: B batch, D embedding, K classes.
"""

from dataclasses import field
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from starter import distributed
from starter.losses import margins
from starter.losses.base import Loss, options
from starter.losses.heads import CosineHead
from starter.losses.similarity import NOTHING, masked_mean
from starter.recipe.schema.base import Fraction, Positive, Rate


@options
class Center(Loss):
    """A pull to the running centre of the class, beside a loss that parts classes.

    Centres follow their class after each training batch: c_j += rate * sum_{i of j} (x_i - c_j) /
    (1 + n_j), n_j its images in the batch of all processes. They start at 0 and are a buffer,
    `center_KD`: saved, but not trained by the optimizer. unit: of unit embeddings; without it the
    pull to be short works against a cosine. Alone it collapses everything onto one point. The paper
    sums over the batch with weight 0.003: here, with a mean, that is a weight of 0.003 B.
    """

    kind = "center"
    formula = "mean |x - centre_y|^2 / 2"
    paper = "Wen et al. 2016, Center loss"
    separates = False

    embedding: int
    classes: int
    rate: Annotated[Fraction, Field(description="alpha: how fast centres follow")] = 0.5
    unit: Annotated[bool, Field(description="of unit embeddings, as verification compares")] = True
    center_KD: Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("center_KD", torch.zeros(self.classes, self.embedding))

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        x_BD = margins.unit(emb_BD) if self.unit else emb_BD
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


@options
class ProxyAnchor(CosineHead):
    """Each class's weight, its proxy, is an anchor among the images of the batch.

    The first mean is over the classes in the batch, the second over all. The paper trains the
    proxies 100 times as fast as the backbone: optimizer.lr_scale.head.
    """

    kind = "proxy_anchor"
    formula = "mean softplus(LSE_x+ -s (c - m)) + mean softplus(LSE_x- s (c + m)), over proxies"
    paper = "Kim et al. 2020, Proxy Anchor"
    whole_batch = True

    scale: Annotated[Positive, Field(description="s, alpha in the paper")] = 32.0
    margin: Annotated[Rate, Field(description="m, delta in the paper")] = 0.1

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        cos_BK = self.cosines(emb_BD)
        s, m = self.scale, self.margin
        own_BK = F.one_hot(label_B, self.classes).bool()
        near_K = (-s * (cos_BK - m)).masked_fill(~own_BK, NOTHING).logsumexp(dim=0)
        away_K = (s * (cos_BK + m)).masked_fill(own_BK, NOTHING).logsumexp(dim=0)
        return masked_mean(F.softplus(near_K), own_BK.any(dim=0)) + F.softplus(away_K).mean()

    def reach(self) -> None:
        return None
