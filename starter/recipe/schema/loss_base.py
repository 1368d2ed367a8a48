"""What the sections of losses share: their base, and the keys that many of them have."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from starter.recipe.schema.base import Fraction, Misfit, Positive, Rate, Section

Scale = Annotated[
    Positive | Literal["auto"],
    Field(description="s: the cosine times s is the logit; auto: from the number of classes"),
]
Angle = Annotated[float, Field(ge=0, lt=1.58, description="m, in radians")]
CosineMargin = Annotated[float, Field(ge=0, lt=2, description="m, on the cosine")]
Warmup = Annotated[
    Fraction, Field(description="the margin grows from 0 over this share of the stage")
]
Gradient = Annotated[
    Literal["exact", "detached"],
    Field(description="of the margin: its true slope, or the plain cosine's"),
]
Smoothing = Annotated[Rate, Field(description="share spread over all classes")]
Temperature = Annotated[Positive, Field(description="similarities are divided by it")]


class Term(Section):
    """What every loss term has."""

    formula: ClassVar[str]
    paper: ClassVar[str]

    weight: Annotated[Positive, Field(description="of this term in the sum")] = 1.0


class ClassMargins(Section):
    """A margin of each class's own: m_j = least + (most - least) u_j, u_j = n_j^-power of n_j
    images, spread over 0..1 where `spread` is on."""

    least: Annotated[float, Field(ge=0, lt=1.58, description="of a class with many images")] = 0.05
    most: Annotated[float, Field(ge=0, lt=1.58, description="of a class with few images")] = 0.5
    power: Annotated[Positive, Field(description="how fast margins fall with images")] = 0.25
    spread: Annotated[
        bool, Field(description="the rarest class gets most, the commonest least; else one image")
    ] = True

    @model_validator(mode="after")
    def _ordered(self) -> "ClassMargins":
        if self.least > self.most:
            why = f"least {self.least} is above most {self.most}: rare classes get the larger one"
            raise Misfit([(("least",), why)])
        return self


class Margin(Term):
    """A margin on the cosine to the target class."""

    margin_warmup: Warmup = 0.0
    gradient: Gradient = "exact"

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


class AddedMargin(Margin):
    """A margin that is added, to the angle or to the cosine, so that classes may differ in it."""

    class_margins: Annotated[
        ClassMargins | None, Field(description="in place of margin (of m2): by images of the class")
    ] = None
