"""Classification heads: one weight vector per class, cross-entropy over their logits.

Shapes: B batch, D embedding, K classes. Everything is computed in float32 (float64 if the
embeddings are), whatever the caller's autocast says. Labels are int64 in 0..K-1; any other fails
in torch (IndexError or RuntimeError on a CPU, a device assert on a GPU).
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from starter.errors import UserError
from starter.losses import margins, scales


class Mixed(NamedTuple):
    """The target of mixed images (mixup, cutmix): two labels and the first one's share."""

    label_B: Tensor  # int64
    other_B: Tensor  # int64
    weight_B: Tensor  # float, 0..1: the share of label_B


Target = Tensor | Mixed
FROM_RECIPE = frozenset({"margin_K", "class_weight_K"})  # buffers that a later stage makes anew


def cross_entropy(
    logits_BK: Tensor,
    target: Target,
    label_smoothing: float = 0.0,
    class_weight_K: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy; for a Mixed target each image's two losses weighted by its share.

    class_weight_K: factors on the loss of each class's images. The sum is divided by B, not by the
    batch's weights: those vary with the batch, and would make its rare images count less.
    """
    if isinstance(target, Tensor) and class_weight_K is None:
        return F.cross_entropy(logits_BK, target, label_smoothing=label_smoothing)

    def each(label_B: Tensor) -> Tensor:
        return F.cross_entropy(
            logits_BK, label_B, class_weight_K, label_smoothing=label_smoothing, reduction="none"
        )

    if isinstance(target, Tensor):
        return each(target).mean()
    weight_B = target.weight_B.to(logits_BK.dtype)
    return (weight_B * each(target.label_B) + (1 - weight_B) * each(target.other_B)).mean()


def by_count(rule: str, class_count_K: Tensor | None, classes: int) -> Tensor:
    """Weights of classes by their images (see Softmax), mean 1 over the images. Ones where the
    counts are not known: the checkpoint's are loaded over them."""
    if class_count_K is None:
        return torch.ones(classes)
    count_K = class_count_K.double().clamp_min(1)
    shrunk_K = {"balanced": count_K, "sqrt": count_K.sqrt(), "log": count_K.log1p()}[rule]
    return (count_K.sum() / (count_K / shrunk_K).sum() / shrunk_K).float()


class ClassHead(nn.Module):
    """A term with a weight vector per class. `cosine`: whether only its direction counts."""

    weight: nn.Parameter
    cosine: bool
    steadiness = 0.15  # the share that a first loss may differ from expected_loss

    def expected_loss(self, progress: float = 0.0) -> float | None:
        """The loss that fresh weights and embeddings without order begin with, at this share of
        the stage; None where it cannot be said. Embeddings count as sqrt(D) long, as BatchNorm
        leaves them."""
        return None

    def reach(self) -> float | None:
        """The target's cosine after the full margin, of an embedding in its class's direction;
        None where the logits are no scaled cosines."""
        return None

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        raise NotImplementedError

    def init_from_means(self, mean_KD: Tensor) -> None:
        """Start from the mean embedding of each class."""
        raise NotImplementedError

    def class_vectors(self) -> Tensor:
        """weight_KD: one vector per class."""
        return self.weight


def fresh_log_sum(head: ClassHead, scale: float) -> float:
    """ln sum exp of a fresh head's logits scale * c_j, about ln K + scale^2 / 2D."""
    cos_M, weight_M = scales.cosines(head.weight.shape[-1])
    return scales.log_sum(len(head.weight), scale * cos_M, weight_M)


class Softmax(ClassHead):
    """Cross-entropy over a linear layer with bias: CE(W x + b) (Bridle 1990).

    class_weights: losses of class j are weighted by 1/n_j ("balanced"), 1/sqrt(n_j) ("sqrt") or
    1/ln(1 + n_j) ("log") of its n_j images, scaled so that their mean over all images is 1.
    """

    cosine = False
    class_weight_K: Tensor | None

    def __init__(
        self,
        *,
        embedding: int,
        classes: int,
        label_smoothing: float,
        class_weights: str = "none",
        class_count_K: Tensor | None = None,
    ):
        super().__init__()
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        weight_K = None
        if class_weights != "none":
            weight_K = by_count(class_weights, class_count_K, classes)
        self.register_buffer("class_weight_K", weight_K)
        bound = 1 / math.sqrt(embedding)  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(classes, embedding).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(classes))

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK of emb_BD, as trained."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.wide(emb_BD), self.weight, self.bias)

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. `progress` changes nothing."""
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing, self.class_weight_K)

    def expected_loss(self, progress: float = 0.0) -> float:
        """ln K + 1/6: logits of variance |x|^2 / 3D = 1/3."""
        return fresh_log_sum(self, math.sqrt(self.weight.shape[1] / 3))

    @torch.no_grad()
    def init_from_means(self, mean_KD: Tensor) -> None:
        """Start as the nearest-class-mean classifier of `mean_KD`, the mean embedding per class.

        w = g mu and b = -g |mu|^2 / 2, so that logits differ by g times half the difference of
        squared distances. g makes them differ by ln(9 (K - 1)) on average at the means: posterior
        0.9 (Bayes for equal spherical classes). Rows of a class without images, not finite, keep
        their start.
        """
        given_K = mean_KD.isfinite().all(dim=1)
        mean = margins.wide(mean_KD[given_K])
        count = len(mean)
        if count < 2:
            return
        # Taking the same vector from every mean shifts all logits alike.
        centred = mean - mean.mean(dim=0)
        # The mean of |mu_i - mu_j|^2 / 2 over i != j.
        spread = centred.square().sum() / (count - 1)
        g = math.log(9 * (count - 1)) / spread.clamp_min(1e-12)
        bias = -0.5 * g * mean.square().sum(dim=1)
        self.weight[given_K] = (g * centred).to(self.weight)
        self.bias[given_K] = (bias - bias.mean()).to(self.bias)


class CosineHead(ClassHead):
    """What NormFace, CosFace and ArcFace share: logits are the cosines times `scale`."""

    cosine = True
    scale: Any  # a number ("auto" is resolved once the margin is known), a parameter or a buffer

    def __init__(self, *, embedding: int, classes: int, scale: float | str):
        super().__init__()
        self.scale = scale
        # Length about 1: only the direction counts, but the length divides its gradient.
        self.weight = nn.Parameter(torch.randn(classes, embedding) / math.sqrt(embedding))

    def settle(self) -> None:
        """Puts a number for scale "auto", once all is known that it depends on."""
        if isinstance(self.scale, str) and self.scale == "auto":
            reach = self.reach()
            self.scale = scales.auto(len(self.weight), 1.0 if reach is None else reach)
            if math.isinf(self.scale):
                raise UserError(
                    "loss.scale: auto: a margin this large leaves the true class no larger cosine "
                    "than the others, so no scale is enough; lower the margin"
                )

    def cosines(self, emb_BD: Tensor) -> Tensor:
        """cos_BK between embeddings and class weights, within rounding of -1..1."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.unit(margins.wide(emb_BD)), margins.unit(self.weight))

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        return self.scale * self.cosines(emb_BD)

    def scale_now(self) -> float:
        """s as a number; reading a parameter or a buffer waits for the device."""
        return self.scale.item() if isinstance(self.scale, Tensor) else float(self.scale)

    def reach(self) -> float | None:
        return 1.0

    def expected_loss(self, progress: float = 0.0) -> float | None:
        """ln K + s^2 / 2D: cosines of variance 1/D."""
        return fresh_log_sum(self, self.scale_now())

    @torch.no_grad()
    def init_from_means(self, mean_KD: Tensor) -> None:
        """Point each class weight at its class's mean embedding (`mean_KD`, of any lengths).

        Rows that are zero or not finite (a class without images) keep their start.
        """
        given_K = mean_KD.isfinite().all(dim=1) & mean_KD.ne(0).any(dim=1)
        self.weight[given_K] = margins.unit(margins.wide(mean_KD[given_K])).to(self.weight)


class ModifiedSoftmax(CosineHead):
    """Cross-entropy over unit class weights without bias: CE(|x| cos theta) (Liu et al. 2017).

    The embedding's length stays free, so training can lower the loss by growing it.
    """

    def __init__(self, *, embedding: int, classes: int, label_smoothing: float):
        super().__init__(embedding=embedding, classes=classes, scale=1.0)
        self.label_smoothing = label_smoothing

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK = |x| cos theta_j, as trained."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.wide(emb_BD), margins.unit(self.weight))

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. `progress` changes nothing."""
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing)

    def expected_loss(self, progress: float = 0.0) -> float:
        """ln K + 1/2: logits of variance |x|^2 / D = 1."""
        return fresh_log_sum(self, math.sqrt(self.weight.shape[1]))

    def reach(self) -> None:
        return None


class NormFace(CosineHead):
    """Cross-entropy over scaled cosines: CE(s cos theta) (Wang et al. 2017).

    learn_scale: s is a parameter (scalar, so without weight decay) that starts at `scale`. It tends
    to drift up.
    """

    def __init__(
        self,
        *,
        embedding: int,
        classes: int,
        scale: float | str,
        label_smoothing: float,
        learn_scale: bool = False,
    ):
        super().__init__(embedding=embedding, classes=classes, scale=scale)
        self.label_smoothing = label_smoothing
        self.learn_scale = learn_scale
        if learn_scale:
            start = scales.auto(classes) if self.scale == "auto" else float(self.scale)
            del self.scale
            self.scale = nn.Parameter(torch.tensor(start))

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar. `progress` changes nothing."""
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing)
