"""Loss terms by name, and their weighted sum.

Shapes: B batch, D embedding, K classes.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from starter.losses import heads, pairs
from starter.losses.heads import ClassHead, Target
from starter.recipe import UserError
from starter.recipe.schema.losses import LOSSES, PAIR_KINDS, LossTerm

TERMS: dict[str, type[nn.Module]] = {
    "softmax": heads.Softmax,
    "normface": heads.NormFace,
    "cosface": heads.CosFace,
    "arcface": heads.ArcFace,
    "triplet": pairs.Triplet,
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
    for losses whose margin depends on it (none yet). options: those of the kind's section in the
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
    return _term(section, embedding, classes)


def _term(section: LossTerm, embedding: int, classes: int) -> nn.Module:
    options = section.model_dump(exclude={"kind", "weight"})
    if section.kind not in PAIR_KINDS:  # those have no parameters
        options |= {"embedding": embedding, "classes": classes}
    return TERMS[section.kind](**options)


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


def build_objective(terms: Sequence[LossTerm], *, embedding: int, classes: int) -> Objective:
    """The objective of a recipe's `loss:` list, with fresh heads. embedding: D. classes: K."""
    return Objective([(term.kind, term.weight, _term(term, embedding, classes)) for term in terms])
