"""The names of a recipe, resolved by the rooms that own them.

`recipe.load` takes every `kind` and every name as it is written. Here each room finds what a name
means, checks the section's other keys against that class's signature and fills in its defaults.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from starter import losses, metrics, models
from starter.data import augment, layouts
from starter.recipe.named import raise_all
from starter.recipe.problems import Problem
from starter.recipe.schema import Recipe, StageSection, TrainSection
from starter.training import optimizers, schedules

S = TypeVar("S", bound=TrainSection)
# A section, or a list of them, as written -> with its defaults, and what is wrong with it.
Resolver = Callable[[Any], tuple[Any, list[Problem]]]

OF_RECIPE: dict[str, Resolver] = {  # by key of the recipe
    "data": layouts.resolve,
    "model": models.resolve,
    "augment": augment.resolve,
}
OF_TRAIN: dict[str, Resolver] = {  # by key of `train` and of every stage
    "augment": augment.resolve,
    "loss": losses.resolve,
    "optimizer": optimizers.resolve,
    "schedule": schedules.resolve,
}
# Names that stand alone, such as `monitor`: of `train` and of every stage.
NAMES_OF_TRAIN: tuple[Callable[[TrainSection], list[Problem]], ...] = (metrics.check,)
# What the parts of a stage demand of each other, asked once each of them is right.
OF_STAGE: tuple[Callable[[StageSection], list[Problem]], ...] = (
    losses.check_stage,
    schedules.check,
)
# For the schema of editors and docs/recipe.md: the options of every kind, by its section's class.
KINDS = {
    "LossTerm": {kind: losses.options_of(loss) for kind, loss in losses.LOSSES.items()},
    "OptimizerSection": {k: optimizers.options_of(kind) for k, kind in optimizers.KINDS.items()},
    "ScheduleSection": {k: schedules.options_of(kind) for k, kind in schedules.KINDS.items()},
}


def resolve(recipe: Recipe) -> Recipe:
    """The same recipe with every option of every named section stated.

    Raises:
        UserError: every mistake at once, each with file:line:column, the line and a hint.
    """
    problems: list[Problem] = []
    changed = _resolved(recipe, OF_RECIPE, problems)
    train = _train(recipe.train, problems)
    stages = {name: _train(stage, problems) for name, stage in recipe.stages.items()}
    raise_all(problems)
    raise_all(p for stage in stages.values() for check in OF_STAGE for p in check(stage))
    return recipe.model_copy(update={**changed, "train": train, "stages": stages})


def _train(section: S, problems: list[Problem]) -> S:
    for names in NAMES_OF_TRAIN:
        problems += names(section)
    return section.model_copy(update=_resolved(section, OF_TRAIN, problems))


def _resolved(
    section: Recipe | TrainSection, resolvers: dict[str, Resolver], problems: list[Problem]
) -> dict[str, Any]:
    changed = {}
    for key, resolver in resolvers.items():
        if getattr(section, key) is not None:
            changed[key], wrong = resolver(getattr(section, key))
            problems += wrong
    return changed
