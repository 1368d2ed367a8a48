"""`loss:` a weighted list of terms. The defaults of every loss live here and nowhere else."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from starter.recipe.schema.base import Fraction, Misfit, Positive, Rate, Section

Scale = Annotated[Positive, Field(description="s: the cosine times s is the logit")]
Warmup = Annotated[
    Fraction, Field(description="the margin grows from 0 over this share of the stage")
]
Gradient = Annotated[
    Literal["exact", "detached"],
    Field(description="of the margin: its true slope, or the plain cosine's"),
]


class Term(Section):
    """What every loss term has."""

    weight: Annotated[Positive, Field(description="of this term in the sum")] = 1.0


class Softmax(Term):
    """Cross-entropy over a linear layer with bias."""

    kind: Annotated[Literal["softmax"], Field(description="this term")]
    label_smoothing: Annotated[Rate, Field(description="share spread over all classes")] = 0.0


class NormFace(Term):
    """Cross-entropy over scaled cosines (Wang et al. 2017)."""

    kind: Annotated[Literal["normface"], Field(description="this term")]
    scale: Scale = 16.0
    label_smoothing: Annotated[Rate, Field(description="share spread over all classes")] = 0.0


class Margin(Term):
    """A margin on the cosine to the target class."""

    @model_validator(mode="before")
    @classmethod
    def _unsmoothed(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("label_smoothing"):
            why = (
                "a margin is measured to the one true class, smoothing spreads the target over "
                "all; leave it out, or use softmax or normface"
            )
            raise Misfit([(("label_smoothing",), why)])
        return value


class CosFace(Margin):
    """Additive cosine margin (Wang et al. 2018): s (cos theta_y - m)."""

    kind: Annotated[Literal["cosface"], Field(description="this term")]
    scale: Scale = 32.0
    margin: Annotated[float, Field(ge=0, lt=2, description="m, on the cosine")] = 0.35
    margin_warmup: Warmup = 0.0


class ArcFace(Margin):
    """Additive angular margin (Deng et al. 2019): s cos(theta_y + m)."""

    kind: Annotated[Literal["arcface"], Field(description="this term")]
    scale: Scale = 32.0
    margin: Annotated[float, Field(ge=0, lt=1.58, description="m, in radians")] = 0.5
    margin_warmup: Warmup = 0.0
    gradient: Gradient = "exact"


class Triplet(Term):
    """Triplet loss on unit embeddings (Schroff et al. 2015; Hermans et al. 2017)."""

    kind: Annotated[Literal["triplet"], Field(description="this term")]
    mining: Annotated[
        Literal["batch_hard", "semi_hard"], Field(description="which negatives are taken")
    ] = "batch_hard"
    margin: Annotated[
        Positive | Literal["soft"], Field(description="in Euclidean distance, or soft: softplus")
    ] = 0.3


LossTerm = Annotated[Softmax | NormFace | CosFace | ArcFace | Triplet, Field(discriminator="kind")]
LOSSES: dict[str, type[Term]] = {
    "softmax": Softmax,
    "normface": NormFace,
    "cosface": CosFace,
    "arcface": ArcFace,
    "triplet": Triplet,
}
MARGIN_KINDS = frozenset({"cosface", "arcface"})
PAIR_KINDS = frozenset({"triplet"})
