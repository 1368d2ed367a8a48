"""Sections of the losses over pairs and centres. d: distance, S: cosine of unit embeddings; p and n
run over an anchor's positives and negatives; LSE = ln sum exp, [x]+ = max(0, x)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starter.recipe.schema.base import Fraction, Misfit, Positive
from starter.recipe.schema.loss_base import Temperature, Term

Order = Annotated[float, Field(ge=1, le=10, description="p of the distance's norm; 2: Euclidean")]


class Center(Term):
    """A pull to the running centre of the class (Wen et al. 2016)."""

    formula = "mean |x - centre_y|^2 / 2"
    paper = "Wen et al. 2016, Center loss"

    kind: Annotated[Literal["center"], Field(description="this term")]
    rate: Annotated[Fraction, Field(description="alpha: how fast centres follow")] = 0.5
    unit: Annotated[bool, Field(description="of unit embeddings, as verification compares")] = True


class Contrastive(Term):
    """Positives together, negatives apart by a margin (Hadsell et al. 2006)."""

    formula = "mean_p [d - positive_margin]+^2 + mean_n [margin - d]+^2"
    paper = "Hadsell et al. 2006"

    kind: Annotated[Literal["contrastive"], Field(description="this term")]
    margin: Annotated[float, Field(gt=0, le=2, description="wanted between negatives")] = 1.0
    positive_margin: Annotated[float, Field(ge=0, le=2, description="free to positives")] = 0.0
    squared: Annotated[bool, Field(description="the square of what is missing")] = True

    @model_validator(mode="after")
    def _apart(self) -> "Contrastive":
        if self.positive_margin >= self.margin:
            why = f"{self.positive_margin} is not below margin {self.margin}: nothing to part"
            raise Misfit([(("positive_margin",), why)])
        return self


class Triplet(Term):
    """Triplet loss on unit embeddings (Schroff et al. 2015; Hermans et al. 2017)."""

    formula = "mean [d_ap - d_an + m]+, or softplus(d_ap - d_an)"
    paper = "Schroff et al. 2015, FaceNet; Hermans et al. 2017"

    kind: Annotated[Literal["triplet"], Field(description="this term")]
    mining: Annotated[
        Literal["batch_all", "batch_hard", "semi_hard"],
        Field(description="which negatives are taken"),
    ] = "batch_hard"
    margin: Annotated[
        Positive | Literal["soft"], Field(description="in distance, or soft: softplus")
    ] = 0.3
    squared: Annotated[bool, Field(description="distances are squared")] = False
    p: Order = 2.0


class SupCon(Term):
    """Supervised contrastive loss, the positives' mean outside the log (Khosla et al. 2020)."""

    formula = "-mean_p ln(exp(S_ap / t) / sum over others exp(S_ai / t))"
    paper = "Khosla et al. 2020, SupCon eq. 2"

    kind: Annotated[Literal["supcon"], Field(description="this term")]
    temperature: Temperature = 0.1


class Circle(Term):
    """Pairs weighted by how far they are from where they should be (Sun et al. 2020)."""

    formula = (
        "softplus(LSE_n(s [S + m]+ (S - m)) + LSE_p(-s [1 + m - S]+ (S - 1 + m))), [.]+ detached"
    )
    paper = "Sun et al. 2020, Circle loss"

    kind: Annotated[Literal["circle"], Field(description="this term")]
    scale: Annotated[Positive, Field(description="s, gamma in the paper")] = 80.0
    margin: Annotated[float, Field(gt=0, lt=1, description="m, on the cosine")] = 0.4


class MultiSimilarity(Term):
    """Pairs weighted by themselves and by the other pairs of their anchor (Wang et al. 2019)."""

    formula = "softplus(LSE_p -alpha (S - base)) / alpha + softplus(LSE_n beta (S - base)) / beta"
    paper = "Wang et al. 2019, Multi-Similarity loss"

    kind: Annotated[Literal["multi_similarity"], Field(description="this term")]
    alpha: Annotated[Positive, Field(description="sharpness for positives")] = 2.0
    beta: Annotated[Positive, Field(description="sharpness for negatives")] = 50.0
    base: Annotated[float, Field(ge=-1, le=1, description="the similarity pairs part at")] = 0.5
    epsilon: Annotated[
        float | None,
        Field(ge=0, le=2, description="keep pairs within this of the hardest; null: all"),
    ] = 0.1
