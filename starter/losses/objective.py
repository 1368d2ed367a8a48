"""Loss terms by name, their weighted sum, and what they demand of their stage.

Shapes: B batch, D embedding, K classes.
"""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from starter.errors import UserError
from starter.losses.base import GIVEN, LOSSES, Loss, Target, options_of
from starter.losses.heads import ClassHead
from starter.recipe.named import fill, find, problem, raise_all
from starter.recipe.own import is_own, split_own
from starter.recipe.problems import Problem
from starter.recipe.schema import LossTerm, StageSection


def find_loss(term: LossTerm) -> type[Loss] | Problem:
    """The class that a term's kind names, the kit's or a user's own."""
    besides = "`python -m starter.losses` lists them; yours is path/to/loss.py:Class"
    loss = find(term, "loss", LOSSES, besides)
    if isinstance(loss, Problem) or (isinstance(loss, type) and issubclass(loss, Loss)):
        return loss
    return problem(term, "kind", f"should be a subclass of starter.losses.Loss (got {term.kind!r})")


def resolve(terms: Sequence[LossTerm]) -> tuple[tuple[LossTerm, ...], list[Problem]]:
    """The terms with their defaults, and what is wrong with them."""
    resolved = [_resolve(term) for term in terms]
    return tuple(term for term, _ in resolved), [p for _, wrong in resolved for p in wrong]


def _resolve(term: LossTerm) -> tuple[LossTerm, list[Problem]]:
    loss = find_loss(term)
    if isinstance(loss, Problem):
        return term, [loss]
    refused = [name for name in loss.refused if term.options.get(name)]
    if refused:
        return term, [problem(term, name, loss.refused[name]) for name in refused]
    filled, problems = fill(term, loss, given=GIVEN)
    if not problems:
        options = options_of(loss).model_validate(filled.options)
        problems = [problem(term, *mistake) for mistake in loss.mistakes(options)]
    return filled, problems


def build(
    kind: str,
    *,
    embedding: int,
    classes: int,
    class_count_K: Tensor | None = None,
    **options: Any,
) -> Loss:
    """A loss term, callable (emb_BD, label_B or Target, progress=1.0) -> scalar.

    kind: a key of LOSSES, or path/to/loss.py:Class. embedding: D. classes: K. class_count_K: images
    per class, needed by `class_margins` and `class_weights`. options: those of the class, without
    `weight`, which belongs to the sum. Raises UserError for a wrong kind or option.
    """
    if "weight" in options:
        raise UserError(f"loss.weight: belongs to the objective's sum, not to the {kind} term")
    if class_count_K is not None and len(class_count_K) != classes:
        raise UserError(f"class_count_K has {len(class_count_K)} entries for {classes} classes")
    term, problems = _resolve(LossTerm(kind=kind, **options))
    raise_all(problems)
    loss = _made(term, embedding, classes, class_count_K)
    if class_count_K is None and loss.counted_by:
        raise UserError(
            f"loss ({kind}).{loss.counted_by}: needs class_count_K, the images of each class"
        )
    return loss


def _made(term: LossTerm, embedding: int, classes: int, class_count_K: Tensor | None) -> Loss:
    loss = find_loss(term)
    assert not isinstance(loss, Problem), "a recipe is resolved before anything is built"
    options = dict(options_of(loss).model_validate(term.options))
    given = {"embedding": embedding, "classes": classes, "class_count_K": class_count_K}
    wanted = inspect.signature(loss).parameters
    return loss(**options, **{name: given[name] for name in GIVEN if name in wanted})


class Objective(nn.Module):
    """The weighted sum of loss terms, each (name, weight, module).

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
        self, emb_BD: Tensor, target: Target | Tensor, progress: float = 1.0
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
        [
            (
                split_own(term.kind)[1] if is_own(term.kind) else term.kind,
                term.weight,
                _made(term, embedding, classes, class_count_K),
            )
            for term in terms
        ]
    )


def needs_whole_batch(terms: Iterable[LossTerm]) -> bool:
    """Whether a term looks at a batch as a whole, so that no micro_batch may part it."""
    return any(loss.mines_pairs or loss.whole_batch for loss in _classes(terms).values())


def check_stage(stage: StageSection) -> list[Problem]:
    """What does not fit between a stage's losses and its mix, sampler and micro_batch."""
    losses = _classes(stage.loss or ())
    return [problem(stage, key, message) for key, message in _misfits(stage, losses)]


def _classes(terms: Iterable[LossTerm]) -> dict[str, type[Loss]]:
    named = {term.kind: find_loss(term) for term in terms}
    return {kind: loss for kind, loss in named.items() if not isinstance(loss, Problem)}


def _misfits(stage: StageSection, losses: dict[str, type[Loss]]) -> Iterator[tuple[str, str]]:
    parted = stage.micro_batch not in (None, "auto", stage.batch_size)
    if losses and not any(loss.separates for loss in losses.values()):
        yield (
            "loss",
            f"{next(iter(losses))} alone pulls all classes onto one point; add a term that parts "
            "them, for example {kind: softmax}",
        )
    for kind, loss in losses.items():
        if stage.mix.on and not loss.mixable:
            why = (
                "has no identity to pair by" if loss.mines_pairs else "has two classes, not the one"
            )
            yield (
                "mix",
                f"mix with {kind}: a mixed image {why}; set mix: {{mixup: 0, cutmix: 0}} or use "
                "softmax or normface",
            )
        if loss.mines_pairs and stage.sampler.kind != "pk":
            yield (
                "sampler",
                f"{kind} needs several images of each identity in a batch; "
                "set sampler: {kind: pk, images: 4}",
            )
        if parted and (loss.mines_pairs or loss.whole_batch):
            yield (
                "micro_batch",
                f"{kind} looks at the whole batch, so micro_batch would change the loss; "
                "leave micro_batch out",
            )
