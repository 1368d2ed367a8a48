"""Learning-rate schedules by name: the kit's, any of torch.optim.lr_scheduler, a user's own class.

The page asks `set(step)` before an update, and tells `after_update` and `after_evaluation`.
"""

import inspect
import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from torch.optim import lr_scheduler

from starter.recipe.named import fill, find, options_model, problem
from starter.recipe.problems import Problem
from starter.recipe.schema.base import Fraction
from starter.recipe.schema.train import ScheduleSection, StageSection
from starter.training.optimizers import require_plain, trial_optimizer


def cosine(
    done: float,
    final: Annotated[Fraction, Field(description="last rate as a share of the highest")] = 0.0,
) -> float:
    """The closed form of torch's CosineAnnealingLR (Loshchilov & Hutter 2017, eq. 5), from 1 down
    to `final`; closed, as torch's class takes one absolute end rate for all groups, and lr_scale
    makes them differ. done: share of the updates after the warm-up, 0 to 1."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))


def constant(done: float) -> float:
    """The highest rate from the end of the warm-up on."""
    return 1.0


KINDS: dict[str, Callable[..., float]] = {"CosineAnnealingLR": cosine, "constant": constant}
TORCHS = {
    name: value
    for name, value in vars(lr_scheduler).items()
    if isinstance(value, type) and issubclass(value, lr_scheduler.LRScheduler) and name[0] != "_"
}
# Arguments of torch's classes that the stage fills where the recipe does not state them.
FILLED = ("T_max", "total_steps", "max_lr")
SUPPLIED = ("optimizer", "done", "last_epoch", "verbose", "mode", "epochs", "steps_per_epoch")
PLACES = (
    "the kit has CosineAnnealingLR and constant, torch.optim.lr_scheduler classes go by their own "
    "names (OneCycleLR), your own as path/sched.py:Class"
)


class Schedule:
    """What sets the learning rate of each of the optimizer's groups.

    Args:
        lr: the recipe's, for the log; a group's own highest rate is its `highest_lr`.
    Attributes:
        counts_updates: whether `after_update` is to be called.
    """

    counts_updates = False

    def __init__(self, optimizer: torch.optim.Optimizer, lr: float):
        self.optimizer, self.lr = optimizer, lr

    def set(self, step: int) -> float:
        """Sets the rates for update `step`, 0-based, and returns optimizer.lr at it."""
        raise NotImplementedError

    def after_update(self, applied: bool) -> None:
        """Hears of an update; applied: False where fp16's loss scaling skipped it."""

    def after_evaluation(self, value: float | None, *, less_is_better: bool) -> None:
        """Hears of the monitored metric, None where it was not measured."""

    def state_dict(self) -> dict:
        """Plain values for resume.pt."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Continues where `state` was taken; the optimizer has been put back before."""


class ByStep(Schedule):
    """A function of the update's number alone, also where loss scaling skips an update."""

    def __init__(self, optimizer: torch.optim.Optimizer, lr: float, factor: Callable[[int], float]):
        super().__init__(optimizer, lr)
        self.factor = factor

    def set(self, step: int) -> float:
        factor = self.factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest_lr"] * factor
        return self.lr * factor


class Stepped(Schedule):
    """A scheduler of torch's kind, stepped after each applied update once the warm-up is over.

    The warm-up is linear to the rate that the scheduler begins with. ReduceLROnPlateau is stepped
    at evaluations instead.
    """

    counts_updates = True

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        lr: float,
        make: Callable[[torch.optim.Optimizer], Any],
        warmup: int,
    ):
        super().__init__(optimizer, lr)
        for group in optimizer.param_groups:
            group["lr"] = group["highest_lr"]
        self.scheduler, self.warmup, self.applied = make(optimizer), warmup, 0
        self.first_lr = [group["lr"] for group in optimizer.param_groups]
        self.by_value = isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau)

    def set(self, step: int) -> float:
        if self.applied < self.warmup:
            self._warm((self.applied + 1) / self.warmup)
        group = max(self.optimizer.param_groups, key=lambda group: group["highest_lr"])
        return self.lr * float(group["lr"]) / group["highest_lr"]

    def after_update(self, applied: bool) -> None:
        self.applied += applied
        if applied and self.applied == self.warmup:
            self._warm(1.0)
        elif applied and self.applied > self.warmup and not self.by_value:
            self.scheduler.step()

    def after_evaluation(self, value: float | None, *, less_is_better: bool) -> None:
        if value is None or not self.by_value or self.applied < self.warmup:
            return
        if not less_is_better and self.scheduler.mode == "min":  # the first value
            state = self.scheduler.state_dict() | {"mode": "max", "best": -math.inf}
            self.scheduler.load_state_dict(state)
        self.scheduler.step(value)

    def _warm(self, share: float) -> None:
        for group, first in zip(self.optimizer.param_groups, self.first_lr, strict=True):
            group["lr"] = first * share

    def state_dict(self) -> dict:
        return {"applied": self.applied, "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.applied = state["applied"]
        self.scheduler.load_state_dict(state["scheduler"])


def build_schedule(
    section: ScheduleSection,
    optimizer: torch.optim.Optimizer,
    lr: float,
    steps_per_epoch: int,
    steps: int,
) -> Schedule:
    """The schedule of a resolved section over a stage of `steps` updates, warm-up included."""
    if section.kind in KINDS:
        return ByStep(optimizer, lr, learning_rate_factor(section, steps_per_epoch, steps))
    target = find(section, "schedule", TORCHS)
    assert not isinstance(target, Problem)
    warmup = _warmup(section, steps_per_epoch, steps)
    span = max(steps - warmup, 1)
    known = inspect.signature(target).parameters

    def make(optimizer: torch.optim.Optimizer) -> Any:
        highest = [group["highest_lr"] for group in optimizer.param_groups]
        filled = {"T_max": span, "total_steps": span, "max_lr": highest}
        return target(
            optimizer, **{n: v for n, v in filled.items() if n in known} | section.options
        )

    return Stepped(optimizer, lr, make, warmup)


def learning_rate_factor(
    section: ScheduleSection, steps_per_epoch: int, steps: int
) -> Callable[[int], float]:
    """The kit's kinds: the factor on each group's highest learning rate at update `step`, 0-based.

    A linear warm-up from 1/W to 1 over W updates, then the kind's own shape.
    """
    warmup, shape = _warmup(section, steps_per_epoch, steps), KINDS[section.kind]
    span = max(steps - warmup, 1)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return shape(min((step - warmup) / span, 1.0), **section.options)

    return factor


def _warmup(section: ScheduleSection, steps_per_epoch: int, steps: int) -> int:
    return min(round(section.warmup_epochs * steps_per_epoch), steps)


def options_of(target: Callable) -> type[BaseModel]:
    """What a recipe may state of one of the kit's, for the schema and its page."""
    return options_model(target, given=SUPPLIED)


def resolve(section: ScheduleSection) -> tuple[ScheduleSection, list[Problem]]:
    """The section with its defaults filled in, and every mistake at its place."""
    target = find(section, "schedule", TORCHS | KINDS, PLACES)
    if isinstance(target, Problem):
        return section, [target]
    given = [*SUPPLIED, *(name for name in FILLED if name not in section.options)]
    return fill(section, target, given=given, typed=section.kind in KINDS)


def check(stage: StageSection) -> list[Problem]:
    """Whether a resolved schedule works with the stage's optimizer, by three updates of a trial."""
    optimizer, section = stage.optimizer, stage.schedule.model_copy(update={"warmup_epochs": 0})
    try:
        trial = build_schedule(section, trial_optimizer(optimizer), optimizer.lr, 10, 100)
        for step in range(3):
            trial.set(step)
            trial.optimizer.step()
            trial.after_update(True)
        require_plain(trial.state_dict())
    except Exception as error:
        message = f"{section.kind} cannot be used with {optimizer.kind}: {error}"
        return [problem(section, "kind", message)]
    return []
