"""Sections of the losses with class weights. K classes, s scale, theta_j the angle to class j,
c_j = cos theta_j, y the true class; CE(z) = -ln softmax(z)_y."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starter.recipe.schema.base import Count, Fraction, Misfit, Positive, Rate
from starter.recipe.schema.loss_base import (
    AddedMargin,
    Angle,
    CosineMargin,
    Margin,
    Scale,
    Smoothing,
    Term,
)


class Softmax(Term):
    """Cross-entropy over a linear layer with bias."""

    formula = "CE(W x + b)"
    paper = "Bridle 1990"

    kind: Annotated[Literal["softmax"], Field(description="this term")]
    label_smoothing: Smoothing = 0.0
    class_weights: Annotated[
        Literal["none", "balanced", "sqrt", "log"],
        Field(description="of n images: 1/n, 1/sqrt(n), 1/ln(1+n), with mean 1 over the images"),
    ] = "none"


class ModifiedSoftmax(Term):
    """Cross-entropy over unit class weights, the embedding's length left free (Liu et al. 2017)."""

    formula = "CE(|x| c)"
    paper = "Liu et al. 2017, SphereFace eq. 4"

    kind: Annotated[Literal["modified_softmax"], Field(description="this term")]
    label_smoothing: Smoothing = 0.0


class NormFace(Term):
    """Cross-entropy over scaled cosines (Wang et al. 2017)."""

    formula = "CE(s c)"
    paper = "Wang et al. 2017, NormFace"

    kind: Annotated[Literal["normface"], Field(description="this term")]
    scale: Scale = 16.0
    learn_scale: Annotated[bool, Field(description="scale is trained, from this value on")] = False
    label_smoothing: Smoothing = 0.0


class SphereFace(Margin):
    """Multiplicative angular margin with annealing (Liu et al. 2017), for any real m >= 1."""

    formula = "z_y = s (l c_y + psi(m theta_y)) / (1 + l), l = max(to, from / (1 + decay n))"
    paper = "Liu et al. 2017, SphereFace; Liu et al. 2022, SphereFace-R"

    kind: Annotated[Literal["sphereface"], Field(description="this term")]
    scale: Annotated[
        Positive | Literal["norm", "auto"],
        Field(description="s; norm: the embedding's length; auto: from the number of classes"),
    ] = "norm"
    margin: Annotated[float, Field(ge=1, le=8, description="m, a factor on the angle")] = 4.0
    anneal_from: Annotated[float, Field(ge=0, description="l at the start")] = 1000.0
    anneal_decay: Annotated[float, Field(ge=0, description="how fast l falls an update")] = 0.12
    anneal_to: Annotated[float, Field(ge=0, description="the least l")] = 5.0


class CosFace(AddedMargin):
    """Additive cosine margin (Wang et al. 2018): s (cos theta_y - m)."""

    formula = "z_y = s (c_y - m)"
    paper = "Wang et al. 2018, CosFace"

    kind: Annotated[Literal["cosface"], Field(description="this term")]
    scale: Scale = 32.0
    margin: CosineMargin = 0.35


class ArcFace(AddedMargin):
    """Additive angular margin (Deng et al. 2019): s cos(theta_y + m)."""

    formula = "z_y = s cos(theta_y + m)"
    paper = "Deng et al. 2019, ArcFace"

    kind: Annotated[Literal["arcface"], Field(description="this term")]
    scale: Scale = 32.0
    margin: Angle = 0.5


class Combined(AddedMargin):
    """The three margins at once (Deng et al. 2019): s (cos(m1 theta_y + m2) - m3)."""

    formula = "z_y = s (cos(m1 theta_y + m2) - m3)"
    paper = "Deng et al. 2019, ArcFace eq. 4"

    kind: Annotated[Literal["combined"], Field(description="this term")]
    scale: Scale = 32.0
    m1: Annotated[float, Field(ge=1, le=8, description="a factor on the angle")] = 1.0
    m2: Annotated[float, Field(ge=0, lt=1.58, description="added to the angle, in radians")] = 0.3
    m3: Annotated[float, Field(ge=0, lt=2, description="taken from the cosine")] = 0.2


class SubCenter(AddedMargin):
    """ArcFace with several centres a class, for noisy labels (Deng et al. 2020)."""

    formula = "ArcFace of c_j = max over a class's centres"
    paper = "Deng et al. 2020, Sub-center ArcFace"

    kind: Annotated[Literal["subcenter"], Field(description="this term")]
    scale: Scale = 32.0
    margin: Angle = 0.5
    centers: Annotated[Count, Field(description="of each class")] = 3
    clean_degrees: Annotated[
        float | None,
        Field(gt=0, lt=180, description="leave out images further from the dominant centre"),
    ] = None
    clean_from: Annotated[Fraction, Field(description="share of the stage before cleaning")] = 0.5


class CurricularFace(AddedMargin):
    """ArcFace that comes to weigh hard negatives more (Huang et al. 2020)."""

    formula = "T = cos(theta_y + m); z_j = s c_j (t + c_j) where c_j > T; t: running mean of c_y"
    paper = "Huang et al. 2020, CurricularFace"

    kind: Annotated[Literal["curricularface"], Field(description="this term")]
    scale: Scale = 32.0
    margin: Angle = 0.5
    t_momentum: Annotated[Fraction, Field(description="share of a batch in the running mean")] = (
        0.01
    )


class AdaFace(AddedMargin):
    """A margin that follows image quality, read from the embedding's length (Kim et al. 2022)."""

    formula = "z_y = s (cos(theta_y - m q) - m - m q), q = clip(h (|x| - mean) / std, -1, 1)"
    paper = "Kim et al. 2022, AdaFace"

    kind: Annotated[Literal["adaface"], Field(description="this term")]
    scale: Scale = 32.0
    margin: Angle = 0.4
    h: Annotated[Positive, Field(description="how strongly length counts")] = 0.333
    norm_momentum: Annotated[
        Fraction, Field(description="share of a batch in the running mean and std of lengths")
    ] = 0.01


class MagFace(Margin):
    """An angular margin that grows with the embedding's length, and a pull to be long
    (Meng et al. 2021)."""

    formula = "z_y = s cos(theta_y + m(a)), a = |x|; + norm_weight (1/a + a / most_norm^2)"
    paper = "Meng et al. 2021, MagFace"

    kind: Annotated[Literal["magface"], Field(description="this term")]
    scale: Scale = 32.0
    least_margin: Annotated[float, Field(ge=0, lt=1.58, description="at the least length")] = 0.45
    most_margin: Annotated[float, Field(ge=0, lt=1.58, description="at the greatest length")] = 0.8
    least_norm: Annotated[Positive, Field(description="lengths below count as this")] = 10.0
    most_norm: Annotated[Positive, Field(description="lengths above count as this")] = 110.0
    norm_weight: Annotated[float, Field(ge=0, description="of the pull to be long")] = 35.0

    @model_validator(mode="after")
    def _converges(self) -> "MagFace":
        low, high = self.least_norm, self.most_norm
        if low >= high or self.least_margin > self.most_margin:
            why = "must not lie above most_norm, nor least_margin above most_margin"
            raise Misfit([(("least_norm",), why)])
        slope = (self.most_margin - self.least_margin) / (high - low)
        scale = 0.0 if self.scale == "auto" else self.scale
        least = scale * slope * high**2 * low**2 / (high**2 - low**2)
        if self.norm_weight < least:
            why = (
                f"{self.norm_weight} is below s k u^2 l^2 / (u^2 - l^2) = {least:.4g}, where the "
                "margin would pull lengths down (MagFace, lemma 1); raise it or lower scale"
            )
            raise Misfit([(("norm_weight",), why)])
        return self


class ElasticFace(AddedMargin):
    """A margin drawn anew for every image (Boutros et al. 2022)."""

    formula = "ArcFace or CosFace with m_i ~ N(m, sigma)"
    paper = "Boutros et al. 2022, ElasticFace"

    kind: Annotated[Literal["elasticface"], Field(description="this term")]
    scale: Scale = 32.0
    base: Annotated[Literal["arcface", "cosface"], Field(description="what the margin is")] = (
        "arcface"
    )
    margin: Angle = 0.5
    sigma: Annotated[float, Field(ge=0, lt=0.5, description="spread of the margins")] = 0.0125
    by_rank: Annotated[
        bool, Field(description="ElasticFace+: larger margins to images further off")
    ] = False


class AdaCos(Term):
    """Cosines with a scale that follows training (Zhang et al. 2019)."""

    formula = "CE(s c), s from ln B / cos(min(pi/4, median theta_y)), B = mean sum exp(s c_j)"
    paper = "Zhang et al. 2019, AdaCos"

    kind: Annotated[Literal["adacos"], Field(description="this term")]
    fixed: Annotated[bool, Field(description="keep s = sqrt(2) ln(K - 1)")] = False


class SphereFace2(AddedMargin):
    """One-against-all classifiers on the sphere (Wen et al. 2022)."""

    formula = "factor/s sum_j w_j softplus(-+ (s (g(c_j) -+ m) + b)), g(z) = 2 ((z+1)/2)^t - 1"
    paper = "Wen et al. 2022, SphereFace2"

    kind: Annotated[Literal["sphereface2"], Field(description="this term")]
    scale: Scale = 40.0
    margin: CosineMargin = 0.4
    t: Annotated[float, Field(ge=1, le=10, description="spreads similarities out")] = 3.0
    positive_share: Annotated[
        float, Field(gt=0, lt=1, description="w of the true class; the others have 1 - w")
    ] = 0.7
    factor: Annotated[Positive, Field(description="on the whole loss")] = 50.0


class UniFace(AddedMargin):
    """One threshold between all matching and all other pairs (Zhou et al. 2023)."""

    formula = "softplus(b - s (c_y - m)) + l sum_j softplus(s c_j - b)"
    paper = "Zhou et al. 2023, UniFace"

    kind: Annotated[Literal["uniface"], Field(description="this term")]
    scale: Scale = 32.0
    margin: CosineMargin = 0.4
    negative_weight: Annotated[Positive, Field(description="l, of the other classes")] = 1.0


class ProxyAnchor(Term):
    """A proxy a class as the anchor of its images and of all others (Kim et al. 2020)."""

    formula = "mean softplus(LSE_x+ -s (c - m)) + mean softplus(LSE_x- s (c + m)), over proxies"
    paper = "Kim et al. 2020, Proxy Anchor"

    kind: Annotated[Literal["proxy_anchor"], Field(description="this term")]
    scale: Annotated[Positive, Field(description="s, alpha in the paper")] = 32.0
    margin: Annotated[Rate, Field(description="m, delta in the paper")] = 0.1
