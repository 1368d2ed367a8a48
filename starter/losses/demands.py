"""What losses demand of the stage that they are in."""

from collections.abc import Iterable, Iterator

from starter.losses.base import Loss
from starter.losses.objective import find_loss
from starter.recipe.named import problem
from starter.recipe.problems import Problem
from starter.recipe.schema import LossTerm, StageSection


def needs_whole_batch(terms: Iterable[LossTerm]) -> bool:
    """Whether a term looks at a batch as a whole, so that no micro_batch may part it."""
    return any(loss.mines_pairs or loss.whole_batch for loss in _classes(terms).values())


def check_stage(stage: StageSection) -> list[Problem]:
    """What does not fit between a stage's losses and its mix, sampler and micro_batch."""
    losses = _classes(stage.loss or ())
    return [problem(stage, key, message) for key, message in _misfits(stage, losses)]


def _classes(terms: Iterable[LossTerm]) -> dict[str, type[Loss]]:
    found = {term.kind: find_loss(term) for term in terms}
    return {kind: loss for kind, loss in found.items() if not isinstance(loss, Problem)}


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
