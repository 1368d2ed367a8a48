"""Loss terms by name, and their weighted sum.

Shapes: B batch, D embedding, K classes.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from starter.errors import UserError
from starter.losses import (
    adaptive_heads,
    binary_heads,
    center,
    heads,
    margin_heads,
    pairs,
    similarity,
    subcenter,
)
from starter.losses.heads import ClassHead, CosineHead, Target
from starter.recipe.schema.losses import LOSSES, PAIR_KINDS, LossTerm

TERMS: dict[str, type[nn.Module]] = {
    "softmax": heads.Softmax,
    "modified_softmax": heads.ModifiedSoftmax,
    "normface": heads.NormFace,
    "sphereface": margin_heads.SphereFace,
    "cosface": margin_heads.CosFace,
    "arcface": margin_heads.ArcFace,
    "combined": margin_heads.Combined,
    "subcenter": subcenter.SubCenter,
    "curricularface": adaptive_heads.CurricularFace,
    "adaface": adaptive_heads.AdaFace,
    "magface": adaptive_heads.MagFace,
    "elasticface": adaptive_heads.ElasticFace,
    "adacos": adaptive_heads.AdaCos,
    "sphereface2": binary_heads.SphereFace2,
    "uniface": binary_heads.UniFace,
    "proxy_anchor": center.ProxyAnchor,
    "center": center.Center,
    "contrastive": similarity.Contrastive,
    "triplet": pairs.Triplet,
    "supcon": similarity.SupCon,
    "circle": similarity.Circle,
    "multi_similarity": similarity.MultiSimilarity,
}


def build(
    kind: str,
    *,
    embedding: int,
    classes: int,
    class_count_K: Tensor | None = None,
    **options: Any,
) -> nn.Module:
    """A loss term, callable (emb_BD, target, progress=1.0) -> scalar.

    kind: a key of the schema's LOSSES. embedding: D. classes: K. class_count_K: images per class,
    needed by `class_margins` and `class_weights`. options: those of the kind's section in the
    schema, without `weight`, which belongs to the sum. Raises UserError for a wrong kind or option.
    """
    if kind not in LOSSES:
        raise UserError(f"loss.kind: no loss {kind!r}; there are {', '.join(LOSSES)}")
    if "weight" in options:
        raise UserError(f"loss.weight: belongs to the objective's sum, not to the {kind} term")
    try:
        section = cast(LossTerm, LOSSES[kind].model_validate({"kind": kind, **options}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"loss ({kind}).{place}: {first['msg']} (got {first['input']!r})"
        ) from error
    if class_count_K is None and (needed := counted_by(section)):
        raise UserError(f"loss ({kind}).{needed}: needs class_count_K, the images of each class")
    if class_count_K is not None and len(class_count_K) != classes:
        raise UserError(f"class_count_K has {len(class_count_K)} entries for {classes} classes")
    return _term(section, embedding, classes, class_count_K)


def counted_by(section: LossTerm) -> str | None:
    """The option of this term that depends on the images of each class, or None."""
    if getattr(section, "class_margins", None) is not None:
        return "class_margins"
    return "class_weights" if getattr(section, "class_weights", "none") != "none" else None


def _term(
    section: LossTerm, embedding: int, classes: int, class_count_K: Tensor | None
) -> nn.Module:
    options = section.model_dump(exclude={"kind", "weight"})
    if section.kind not in PAIR_KINDS:  # those have no parameters
        options |= {"embedding": embedding, "classes": classes}
    if counted_by(section):
        options["class_count_K"] = class_count_K
    term = TERMS[section.kind](**options)
    if isinstance(term, CosineHead):
        term.settle()
    return term


class Objective(nn.Module):
    """The weighted sum of loss terms, each (kind, weight, module).

    `terms` holds the modules under their names: the kind, and kind_2, kind_3 for repeated ones.
    """

    def __init__(self, terms: Sequence[tuple[str, float, nn.Module]]):
        super().__init__()
        self.terms = nn.ModuleDict()
        self.weights: dict[str, float] = {}
        kinds: list[str] = []
        for kind, weight, module in terms:
            kinds.append(kind)
            name = kind if kinds.count(kind) == 1 else f"{kind}_{kinds.count(kind)}"
            self.terms[name] = module
            self.weights[name] = weight

    @property
    def classifier(self) -> ClassHead | None:
        """The first term with class logits (`logits`, margin-free), or None."""
        return next((term for term in self.terms.values() if isinstance(term, ClassHead)), None)

    def forward(
        self, emb_BD: Tensor, target: Target, progress: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(total, parts): the weighted sum, and each term's own loss, unweighted and detached.

        progress: the share of the stage that is done, 0..1. All stay on the device.
        """
        total = torch.zeros((), device=emb_BD.device)
        parts: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            loss = term(emb_BD, target, progress)
            total = total + self.weights[name] * loss
            parts[name] = loss.detach()
        return total, parts


def build_objective(
    terms: Sequence[LossTerm],
    *,
    embedding: int,
    classes: int,
    class_count_K: Tensor | None = None,
) -> Objective:
    """The objective of a recipe's `loss:` list, with fresh heads. embedding: D. classes: K.

    class_count_K: images per class; may be left out where a checkpoint's weights are loaded next.
    """
    return Objective(
        [(term.kind, term.weight, _term(term, embedding, classes, class_count_K)) for term in terms]
    )
