"""`loss:` a weighted list of terms. The defaults of every loss live here and nowhere else."""

from typing import Annotated, get_args

from pydantic import Field

from starter.recipe.schema.loss_base import ClassMargins, Term
from starter.recipe.schema.loss_heads import (
    AdaCos,
    AdaFace,
    ArcFace,
    Combined,
    CosFace,
    CurricularFace,
    ElasticFace,
    MagFace,
    ModifiedSoftmax,
    NormFace,
    ProxyAnchor,
    Softmax,
    SphereFace,
    SphereFace2,
    SubCenter,
    UniFace,
)
from starter.recipe.schema.loss_pairs import (
    Center,
    Circle,
    Contrastive,
    MultiSimilarity,
    SupCon,
    Triplet,
)

LossTerm = Annotated[
    Softmax
    | ModifiedSoftmax
    | NormFace
    | SphereFace
    | CosFace
    | ArcFace
    | Combined
    | SubCenter
    | CurricularFace
    | AdaFace
    | MagFace
    | ElasticFace
    | AdaCos
    | SphereFace2
    | UniFace
    | ProxyAnchor
    | Center
    | Contrastive
    | Triplet
    | SupCon
    | Circle
    | MultiSimilarity,
    Field(discriminator="kind"),
]
LOSSES: dict[str, type[Term]] = {
    get_args(section.model_fields["kind"].annotation)[0]: section
    for section in get_args(get_args(LossTerm)[0])
}
# What a stage may and must have beside a term.
MIXABLE_KINDS = frozenset({"softmax", "modified_softmax", "normface"})
PAIR_KINDS = frozenset({"contrastive", "triplet", "supcon", "circle", "multi_similarity"})
CLASS_KINDS = frozenset({"center", "proxy_anchor", "adacos"})  # one class an image, no margin
BATCH_KINDS = frozenset({"proxy_anchor"})  # a loss of the whole batch, not a mean over images
MARGIN_KINDS = frozenset(LOSSES) - MIXABLE_KINDS - PAIR_KINDS - CLASS_KINDS

__all__ = [
    "BATCH_KINDS",
    "CLASS_KINDS",
    "LOSSES",
    "MARGIN_KINDS",
    "MIXABLE_KINDS",
    "PAIR_KINDS",
    "ArcFace",
    "ClassMargins",
    "LossTerm",
    "Softmax",
    "Term",
]
