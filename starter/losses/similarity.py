"""Losses over all pairs of a batch by their cosine or distance.

Shapes: B batch, D embedding. Rows are anchors. An anchor's positives are the other images of its
class, its negatives those of other classes; anchors that lack what a loss needs are left out of its
mean, and a batch without any has loss 0. Float32 (float64 if the embeddings are) throughout.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from starter.losses import margins, pairs
from starter.losses.heads import Target

NOTHING = -1e9  # in place of a logit that is left out: -inf would make a row without any NaN


class PairLoss(nn.Module):
    """A loss of cos_BB and who is whose positive and negative; subclasses say which."""

    def of_pairs(self, cos_BB: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. emb_BD: any lengths. label_B: int64. `progress` is not used."""
        assert isinstance(label_B, Tensor), "pairs have no meaning between two labels"
        with margins.full_precision(emb_BD):
            z_BD = margins.unit(margins.wide(emb_BD))
            same_BB = label_B[:, None] == label_B
            return self.of_pairs(z_BD @ z_BD.T, pairs.others(same_BB), ~same_BB)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean of x where mask; 0 where there is none."""
    return (x * mask).sum() / mask.sum().clamp_min(1)


def log_sum_exp(x_BB: Tensor, mask_BB: Tensor) -> Tensor:
    """ln sum exp of each row's entries in the mask; about NOTHING where there are none."""
    return x_BB.masked_fill(~mask_BB, NOTHING).logsumexp(dim=1)


class Contrastive(nn.Module):
    """Contrastive loss on unit embeddings (Hadsell et al. 2006):

    mean over positives of [d - positive_margin]+^2 + mean over negatives of [margin - d]+^2, d the
    Euclidean distance, 0..2. squared=False leaves the squares out. The means are over all pairs,
    those at 0 included, so that its scale does not depend on how many are still active.
    """

    def __init__(self, *, margin: float, positive_margin: float, squared: bool):
        super().__init__()
        self.margin, self.positive_margin, self.squared = margin, positive_margin, squared

    def forward(self, emb_BD: Tensor, label_B: Target, progress: float = 1.0) -> Tensor:
        """The loss, a scalar. emb_BD: any lengths. label_B: int64. `progress` is not used."""
        assert isinstance(label_B, Tensor), "pairs have no meaning between two labels"
        with margins.full_precision(emb_BD):
            dist_BB = pairs.distances(margins.wide(emb_BD))
            same_BB = label_B[:, None] == label_B
            near_BB = F.relu(dist_BB - self.positive_margin)
            far_BB = F.relu(self.margin - dist_BB)
            if self.squared:
                near_BB, far_BB = near_BB.square(), far_BB.square()
            return masked_mean(near_BB, pairs.others(same_BB)) + masked_mean(far_BB, ~same_BB)


class SupCon(PairLoss):
    """Supervised contrastive loss (Khosla et al. 2020, eq. 2, the mean outside the logarithm):

    -mean over positives p of ln(exp(S_ap / t) / sum_{i != a} exp(S_ai / t)), then the mean over
    anchors that have a positive. t: temperature > 0. Needs two images of a class in the batch.
    """

    def __init__(self, *, temperature: float):
        super().__init__()
        self.temperature = temperature

    def of_pairs(self, cos_BB: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Tensor:
        logits_BB = cos_BB / self.temperature
        log_sum_B = log_sum_exp(logits_BB, positive_BB | negative_BB)
        count_B = positive_BB.sum(dim=1)
        mean_B = (logits_BB * positive_BB).sum(dim=1) / count_B.clamp_min(1)
        return masked_mean(log_sum_B - mean_B, count_B > 0)


class Circle(PairLoss):
    """Circle loss over pairs (Sun et al. 2020, eq. 4 to 8):

    softplus(LSE_n(s [S_an + m]+ (S_an - m)) + LSE_p(-s [1 + m - S_ap]+ (S_ap - 1 + m))), the
    factors [.]+ without gradient; mean over anchors with a positive and a negative. Logits reach
    1000 at s = 256.
    """

    def __init__(self, *, scale: float, margin: float):
        super().__init__()
        self.scale, self.margin = scale, margin

    def of_pairs(self, cos_BB: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Tensor:
        s, m, fixed_BB = self.scale, self.margin, cos_BB.detach()
        apart_BB = s * F.relu(fixed_BB + m) * (cos_BB - m)
        together_BB = -s * F.relu(1 + m - fixed_BB) * (cos_BB - 1 + m)
        log_sum_B = log_sum_exp(apart_BB, negative_BB) + log_sum_exp(together_BB, positive_BB)
        return masked_mean(F.softplus(log_sum_B), positive_BB.any(1) & negative_BB.any(1))


class MultiSimilarity(PairLoss):
    """Multi-similarity loss (Wang et al. 2019, eq. 15) with its pair mining (eq. 11, 12):

    ln(1 + sum_p exp(-alpha (S - base))) / alpha + ln(1 + sum_n exp(beta (S - base))) / beta, mean
    over anchors with a positive and a negative. With epsilon, negatives count that are more similar
    than the least similar positive - epsilon, positives that are less similar than the most similar
    negative + epsilon; None: all.
    """

    def __init__(self, *, alpha: float, beta: float, base: float, epsilon: float | None):
        super().__init__()
        self.alpha, self.beta, self.base, self.epsilon = alpha, beta, base, epsilon

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
