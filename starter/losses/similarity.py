"""Losses over all pairs of a batch by their cosine or distance.

Shapes: B batch, D embedding. Rows are anchors. An anchor's positives are the other images of its
class, its negatives those of other classes; anchors that lack what a loss needs are left out of its
mean, and a batch without any has loss 0. Float32 (float64 if the embeddings are) throughout.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from starter.losses import margins, pairs
from starter.losses.base import Loss, options
from starter.recipe.schema.base import Positive

NOTHING = -1e9  # in place of a logit that is left out: -inf would make a row without any NaN


class PairLoss(Loss):
    """A loss of cos_BB and who is whose positive and negative; subclasses say which."""

    mines_pairs = True

    def of_pairs(self, cos_BB: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Tensor:
        raise NotImplementedError

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        z_BD = margins.unit(emb_BD)
        same_BB = label_B[:, None] == label_B
        return self.of_pairs(z_BD @ z_BD.T, pairs.others(same_BB), ~same_BB)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean of x where mask; 0 where there is none."""
    return (x * mask).sum() / mask.sum().clamp_min(1)


def log_sum_exp(x_BB: Tensor, mask_BB: Tensor) -> Tensor:
    """ln sum exp of each row's entries in the mask; about NOTHING where there are none."""
    return x_BB.masked_fill(~mask_BB, NOTHING).logsumexp(dim=1)


@options
class Contrastive(Loss):
    """Positives together, negatives apart by a margin, on unit embeddings.

    d is the Euclidean distance, 0..2; `squared: false` leaves the squares out. The means are over
    all pairs, those at 0 included, so that its scale does not depend on how many are still active.
    """

    kind = "contrastive"
    formula = "mean_p [d - positive_margin]+^2 + mean_n [margin - d]+^2"
    paper = "Hadsell et al. 2006"
    mines_pairs = True

    margin: Annotated[float, Field(gt=0, le=2, description="wanted between negatives")] = 1.0
    positive_margin: Annotated[float, Field(ge=0, le=2, description="free to positives")] = 0.0
    squared: Annotated[bool, Field(description="the square of what is missing")] = True

    @classmethod
    def mistakes(cls, options: Any) -> Iterator[tuple[str, str]]:
        free, wanted = options.positive_margin, options.margin
        if free >= wanted:
            yield "positive_margin", f"{free} is not below margin {wanted}: nothing to part"

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        dist_BB = pairs.distances(emb_BD)
        same_BB = label_B[:, None] == label_B
        near_BB = F.relu(dist_BB - self.positive_margin)
        far_BB = F.relu(self.margin - dist_BB)
        if self.squared:
            near_BB, far_BB = near_BB.square(), far_BB.square()
        return masked_mean(near_BB, pairs.others(same_BB)) + masked_mean(far_BB, ~same_BB)


@options
class SupCon(PairLoss):
    """Supervised contrastive loss, the positives' mean outside the logarithm.

    It is a mean over anchors that have a positive: two images of a class in the batch.
    """

    kind = "supcon"
    formula = "-mean_p ln(exp(S_ap / t) / sum over others exp(S_ai / t))"
    paper = "Khosla et al. 2020, SupCon eq. 2"

    temperature: Annotated[Positive, Field(description="t: similarities are divided by it")] = 0.1

    def of_pairs(self, cos_BB: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Tensor:
        logits_BB = cos_BB / self.temperature
        log_sum_B = log_sum_exp(logits_BB, positive_BB | negative_BB)
        count_B = positive_BB.sum(dim=1)
        mean_B = (logits_BB * positive_BB).sum(dim=1) / count_B.clamp_min(1)
        return masked_mean(log_sum_B - mean_B, count_B > 0)


@options
class Circle(PairLoss):
    """Pairs weighted by how far they are from where they should be.

    The factors [.]+ carry no gradient; it is a mean over anchors with a positive and a negative.
    Logits reach 1000 at s = 256.
    """

    kind = "circle"
    formula = (
        "softplus(LSE_n(s [S + m]+ (S - m)) + LSE_p(-s [1 + m - S]+ (S - 1 + m))), [.]+ detached"
    )
    paper = "Sun et al. 2020, Circle loss eq. 4 to 8"

    scale: Annotated[Positive, Field(description="s, gamma in the paper")] = 80.0
    margin: Annotated[float, Field(gt=0, lt=1, description="m, on the cosine")] = 0.4

    def of_pairs(self, cos_BB: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Tensor:
        s, m, fixed_BB = self.scale, self.margin, cos_BB.detach()
        apart_BB = s * F.relu(fixed_BB + m) * (cos_BB - m)
        together_BB = -s * F.relu(1 + m - fixed_BB) * (cos_BB - 1 + m)
        log_sum_B = log_sum_exp(apart_BB, negative_BB) + log_sum_exp(together_BB, positive_BB)
        return masked_mean(F.softplus(log_sum_B), positive_BB.any(1) & negative_BB.any(1))


@options
class MultiSimilarity(PairLoss):
    """Pairs weighted by themselves and by the other pairs of their anchor, with pair mining.

    It is a mean over anchors with a positive and a negative. With epsilon, negatives count that are
    more similar than the least similar positive - epsilon, positives that are less similar than the
    most similar negative + epsilon; None: all.
    """

    kind = "multi_similarity"
    formula = "softplus(LSE_p -alpha (S - base)) / alpha + softplus(LSE_n beta (S - base)) / beta"
    paper = "Wang et al. 2019, Multi-Similarity loss eq. 11, 12, 15"

    alpha: Annotated[Positive, Field(description="sharpness for positives")] = 2.0
    beta: Annotated[Positive, Field(description="sharpness for negatives")] = 50.0
    base: Annotated[float, Field(ge=-1, le=1, description="the similarity pairs part at")] = 0.5
    epsilon: Annotated[
        float | None,
        Field(ge=0, le=2, description="keep pairs within this of the hardest; null: all"),
    ] = 0.1

    def of_pairs(self, cos_BB: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Tensor:
        valid_B = positive_BB.any(1) & negative_BB.any(1)
        if self.epsilon is not None:
            fixed_BB = cos_BB.detach()
            least_B1 = fixed_BB.masked_fill(~positive_BB, 2.0).amin(dim=1, keepdim=True)
            most_B1 = fixed_BB.masked_fill(~negative_BB, -2.0).amax(dim=1, keepdim=True)
            positive_BB = positive_BB & (fixed_BB < most_B1 + self.epsilon)
            negative_BB = negative_BB & (fixed_BB > least_B1 - self.epsilon)
        above_BB = cos_BB - self.base
        positive_B = F.softplus(log_sum_exp(-self.alpha * above_BB, positive_BB)) / self.alpha
        negative_B = F.softplus(log_sum_exp(self.beta * above_BB, negative_BB)) / self.beta
        return masked_mean(positive_B + negative_B, valid_B)
