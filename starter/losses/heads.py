"""Classification heads: one weight vector per class, cross-entropy over their logits.

Shapes: B batch, D embedding, K classes. Everything is computed in float32 (float64 if the
embeddings are), whatever the caller's autocast says. Labels are int64 in 0..K-1; any other fails
in torch (IndexError or RuntimeError on a CPU, a device assert on a GPU).
"""

import math
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from starter.errors import UserError
from starter.losses import margins
from starter.losses.base import Loss, Scale, Smoothing, Target, options


def cross_entropy(
    logits_BK: Tensor,
    target: Target,
    label_smoothing: float = 0.0,
    class_weight_K: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy; a mixed image's two losses are weighted by its share.

    class_weight_K: factors on the loss of each class's images. The sum is divided by B, not by the
    batch's weights: those vary with the batch, and would make its rare images count less.
    """
    if target.other_B is None and class_weight_K is None:
        return F.cross_entropy(logits_BK, target.label_B, label_smoothing=label_smoothing)

    def each(label_B: Tensor) -> Tensor:
        return F.cross_entropy(
            logits_BK, label_B, class_weight_K, label_smoothing=label_smoothing, reduction="none"
        )

    return mean_loss(each, target)


def mean_loss(each: Callable[[Tensor], Tensor], target: Target) -> Tensor:
    """Mean of the losses that `each` gives for labels (B to B); a mixed image's two are weighted by
    its share."""
    loss_B = each(target.label_B)
    if target.other_B is None:
        return loss_B.mean()
    assert target.share_B is not None
    share_B = target.share_B.to(loss_B.dtype)
    return (share_B * loss_B + (1 - share_B) * each(target.other_B)).mean()


def by_count(rule: str, class_count_K: Tensor | None, classes: int) -> Tensor:
    """Weights of classes by their images (see Softmax), mean 1 over the images. Ones where the
    counts are not known: the checkpoint's are loaded over them."""
    if class_count_K is None:
        return torch.ones(classes)
    count_K = class_count_K.double().clamp_min(1)
    shrunk_K = {"balanced": count_K, "sqrt": count_K.sqrt(), "log": count_K.log1p()}[rule]
    return (count_K.sum() / (count_K / shrunk_K).sum() / shrunk_K).float()


@options
class ClassHead(Loss):
    """A loss with a weight vector per class. `cosine`: whether only its direction counts.

    embedding: D. classes: K. class_count_K: images per class, None where a checkpoint's weights are
    loaded next.
    """

    embedding: int
    classes: int
    class_count_K: Tensor | None = None
    weight: nn.Parameter = field(init=False)

    cosine = False

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        raise NotImplementedError

    def init_from_means(self, mean_KD: Tensor) -> None:
        """Start from the mean embedding of each class."""
        raise NotImplementedError

    def class_vectors(self) -> Tensor:
        """weight_KD: one vector per class."""
        return self.weight


# How the losses of a class of n images may be weighted.
ByCount = Annotated[
    Literal["none", "balanced", "sqrt", "log"],
    Field(description="of n images: 1/n, 1/sqrt(n), 1/ln(1+n), with mean 1 over the images"),
]


@options
class LinearHead(ClassHead):
    """What the heads over a linear layer with bias share: logits are W x + b."""

    class_weight_K: Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        weight_K = None
        if self.weighted_by != "none":
            weight_K = by_count(self.weighted_by, self.class_count_K, self.classes)
        self.register_buffer("class_weight_K", weight_K)
        bound = 1 / math.sqrt(self.embedding)  # as nn.Linear begins
        start_KD = torch.empty(self.classes, self.embedding).uniform_(-bound, bound)
        self.weight = nn.Parameter(start_KD)
        self.bias = nn.Parameter(torch.full((self.classes,), self.start_bias))

    @property
    def weighted_by(self) -> str:
        """By which rule of `by_count` the losses of each class are weighted, or "none"."""
        return "none"

    @property
    def start_bias(self) -> float:
        """Where the biases begin, or their mean."""
        return 0.0

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK of emb_BD, as trained."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.wide(emb_BD), self.weight, self.bias)

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
        self.bias[given_K] = (bias - bias.mean() + self.start_bias).to(self.bias)


@options
class Softmax(LinearHead):
    """Cross-entropy over a linear layer with bias.

    class_weights: losses of class j are weighted by 1/n_j ("balanced"), 1/sqrt(n_j) ("sqrt") or
    1/ln(1 + n_j) ("log") of its n_j images, scaled so that their mean over all images is 1.
    """

    kind = "softmax"
    formula = "CE(W x + b)"
    paper = "Bridle 1990"
    mixable = True

    label_smoothing: Smoothing = 0.0
    class_weights: ByCount = "none"

    @property
    def weighted_by(self) -> str:
        return self.class_weights

    @property
    def counted_by(self) -> str | None:
        return None if self.class_weights == "none" else "class_weights"

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing, self.class_weight_K)


@options
class CosineHead(ClassHead):
    """What the heads of unit class weights share: logits are the cosines times `scale`.

    scale: a number, a parameter or a buffer; "auto" becomes a number here.
    """

    scale: Any = field(init=False)

    cosine = True

    def __post_init__(self) -> None:
        super().__post_init__()
        # Length about 1: only the direction counts, but the length divides its gradient.
        start_KD = torch.randn(self.classes, self.embedding) / math.sqrt(self.embedding)
        self.weight = nn.Parameter(start_KD)

    def settle_scale(self) -> None:
        """Puts a number for scale "auto", once the margin is known that it depends on."""
        if self.scale != "auto":
            return
        reach = self.reach()
        self.scale = margins.auto_scale(self.classes, 1.0 if reach is None else reach)
        if math.isinf(self.scale):
            raise UserError(
                "loss.scale: auto: a margin this large leaves the true class no larger cosine "
                "than the others, so no scale is enough; lower the margin"
            )

    def reach(self) -> float | None:
        """The target's cosine after the full margin, of an embedding in its class's direction;
        None where the logits are no scaled cosines."""
        return 1.0

    def cosines(self, emb_BD: Tensor) -> Tensor:
        """cos_BK between embeddings and class weights, within rounding of -1..1."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.unit(margins.wide(emb_BD)), margins.unit(self.weight))

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK without margin, for accuracy and prediction."""
        return self.scale * self.cosines(emb_BD)

    @torch.no_grad()
    def init_from_means(self, mean_KD: Tensor) -> None:
        """Point each class weight at its class's mean embedding (`mean_KD`, of any lengths).

        Rows that are zero or not finite (a class without images) keep their start.
        """
        given_K = mean_KD.isfinite().all(dim=1) & mean_KD.ne(0).any(dim=1)
        self.weight[given_K] = margins.unit(margins.wide(mean_KD[given_K])).to(self.weight)


@options
class ModifiedSoftmax(CosineHead):
    """Cross-entropy over unit class weights without bias.

    The embedding's length stays free, so training can lower the loss by growing it.
    """

    kind = "modified_softmax"
    formula = "CE(|x| c)"
    paper = "Liu et al. 2017, SphereFace eq. 4"
    mixable = True

    label_smoothing: Smoothing = 0.0

    def logits(self, emb_BD: Tensor) -> Tensor:
        """logits_BK = |x| cos theta_j, as trained."""
        with margins.full_precision(emb_BD):
            return F.linear(margins.wide(emb_BD), margins.unit(self.weight))

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing)


@options
class NormFace(CosineHead):
    """Cross-entropy over scaled cosines.

    learn_scale: s is a parameter (scalar, so without weight decay) that starts at `scale`. It tends
    to drift up.
    """

    kind = "normface"
    formula = "CE(s c)"
    paper = "Wang et al. 2017, NormFace"
    mixable = True

    scale: Scale = 16.0
    learn_scale: Annotated[bool, Field(description="scale is trained, from this value on")] = False
    label_smoothing: Smoothing = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settle_scale()
        if self.learn_scale:
            self.scale = nn.Parameter(torch.tensor(float(self.scale)))

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        logits_BK = self.logits(emb_BD)
        with margins.full_precision(emb_BD):
            return cross_entropy(logits_BK, target, self.label_smoothing)
