"""Schedules against torch's own classes, stepped by hand."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from starter.recipe.schema.train import (
    LearningRateScale,
    OptimizerSection,
    ScheduleSection,
    StageSection,
)
from starter.training import optimizers
from starter.training.schedules import build_schedule, check, learning_rate_factor, resolve
from tests.training.test_optimizers import CPU, Toy

STEPS, PER_EPOCH = 20, 5


def resolved(kind, **options):
    section, problems = resolve(ScheduleSection(kind=kind, **options))
    assert not problems, problems
    return section


def make(section, lr_scale=None, steps=STEPS):
    """The schedule, over an optimizer whose three parts have rates of their own."""
    optimizer, _ = optimizers.resolve(
        OptimizerSection(lr=0.1, lr_scale=lr_scale or LearningRateScale(backbone=0.1, head=10))
    )
    built = optimizers.build_optimizer(Toy(), optimizer, CPU)
    return build_schedule(section, built, optimizer.lr, PER_EPOCH, steps)


def test_cosine_equals_torchs_class_after_the_warm_up():
    factor = learning_rate_factor(resolved("CosineAnnealingLR", warmup_epochs=2), 5, steps=40)
    weight = nn.Parameter(torch.zeros(1))
    theirs = lr_scheduler.CosineAnnealingLR(torch.optim.SGD([weight], lr=1.0), T_max=30)
    for step in range(10, 40):
        assert factor(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-6)
        theirs.optimizer.step()
        theirs.step()


def test_warm_up_starts_low_and_reaches_the_highest_rate():
    factor = learning_rate_factor(resolved("CosineAnnealingLR", warmup_epochs=2), 5, steps=40)
    assert [factor(step) for step in range(10)] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert factor(10) == 1.0


def test_constant_stays_at_the_highest_rate():
    factor = learning_rate_factor(resolved("constant"), 3, steps=9)
    assert [factor(step) for step in range(9)] == [1.0] * 9


def test_final_is_a_share_of_each_groups_own_rate():
    schedule = make(resolved("CosineAnnealingLR", final=0.01), steps=8)
    assert schedule.set(8) == pytest.approx(1e-3)
    rates = {group["part"]: group["lr"] for group in schedule.optimizer.param_groups}
    assert rates == pytest.approx({"backbone": 1e-4, "neck": 1e-3, "head": 1e-2})


OWN = """
class Halve:
    def __init__(self, optimizer, every=2):
        self.optimizer, self.every, self.count = optimizer, every, 0

    def step(self):
        self.count += 1
        for group in self.optimizer.param_groups:
            group["lr"] *= 0.5 if self.count % self.every == 0 else 1.0

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]
"""
CLASSES = {
    "OneCycleLR": ({}, {"total_steps": STEPS, "max_lr": [0.1 * 0.1, 0.1 * 0.1, 0.1, 1.0, 1.0]}),
    "StepLR": ({"step_size": 3}, {}),
    "PolynomialLR": ({"total_iters": 9, "power": 2.0}, {}),
    "CosineAnnealingWarmRestarts": ({"T_0": 4}, {}),
    "ExponentialLR": ({"gamma": 0.9}, {}),
}


def rates_of(schedule):
    return [float(group["lr"]) for group in schedule.optimizer.param_groups]


def run(schedule, steps, skipped=()):
    """The rates of every update; `skipped` are not applied."""
    rates = []
    for step in steps:
        schedule.set(step)
        rates.append(rates_of(schedule))
        if step not in skipped:
            schedule.optimizer.step()
        schedule.after_update(step not in skipped)
    return rates


@pytest.mark.parametrize("kind", CLASSES)
def test_torchs_classes_are_stepped_every_update(kind):
    options, filled = CLASSES[kind]
    schedule = make(resolved(kind, **options))
    highest = [group["highest_lr"] for group in schedule.optimizer.param_groups]
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in highest]
    torchs = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    theirs = getattr(lr_scheduler, kind)(torchs, **options, **filled)
    wanted = []
    for _ in range(STEPS):
        wanted.append([group["lr"] for group in torchs.param_groups])
        torchs.step()
        theirs.step()
    assert run(schedule, range(STEPS)) == wanted


@pytest.mark.parametrize("kind", [*CLASSES, "own"])
def test_a_schedule_continues_where_its_state_was_taken(kind, tmp_path):
    options = CLASSES.get(kind, ({},))[0]
    if kind == "own":
        (tmp_path / "sched.py").write_text(OWN)
        kind = f"{tmp_path / 'sched.py'}:Halve"
    section = resolved(kind, warmup_epochs=1, **options)
    whole, first, second = make(section), make(section), make(section)
    wanted = run(whole, range(STEPS), skipped={7})
    rates = run(first, range(9), skipped={7})
    buffer = io.BytesIO()
    torch.save([first.optimizer.state_dict(), first.state_dict()], buffer)
    buffer.seek(0)
    optimizer, schedule = torch.load(buffer, weights_only=True)
    second.optimizer.load_state_dict(optimizer)
    second.load_state_dict(copy.deepcopy(schedule))
    assert rates + run(second, range(9, STEPS)) == wanted


def test_a_skipped_update_does_not_advance_a_class_and_warm_up_ends_at_its_first_rate():
    section = resolved("StepLR", step_size=1, gamma=0.5, warmup_epochs=0.8)
    schedule = make(section, LearningRateScale())
    rates = [row[0] for row in run(schedule, range(8), skipped={1, 5})]
    assert rates == pytest.approx(
        [0.1 * f for f in (1 / 4, 2 / 4, 2 / 4, 3 / 4, 4 / 4, 1, 1, 1 / 2)]
    )
    assert schedule.set(8) == pytest.approx(0.025)


@pytest.mark.parametrize("less_is_better", [True, False])
def test_a_plateau_is_heard_of_at_evaluations_in_the_monitors_direction(less_is_better):
    schedule = make(resolved("ReduceLROnPlateau", patience=1, factor=0.5), LearningRateScale())
    values = [0.5, 0.4, None, 0.41, 0.42, 0.43] if less_is_better else [0.5, 0.6, 0.6, 0.6, 0.7]
    rates = []
    for step, value in enumerate(values):
        schedule.set(step)
        schedule.after_update(True)
        schedule.after_evaluation(value, less_is_better=less_is_better)
        rates.append(schedule.set(step))
    halved = [0.1, 0.1, 0.1, 0.1, 0.05, 0.05] if less_is_better else [0.1, 0.1, 0.1, 0.05, 0.05]
    assert rates == pytest.approx(halved)
    assert schedule.scheduler.best == (0.4 if less_is_better else 0.7)


@pytest.mark.parametrize(
    "kind, options, key, says",
    [
        ("CosineAnealingLR", {}, "kind", "did you mean 'CosineAnnealingLR'?"),
        ("CosineAnnealingLR", {"final": 2.0}, "final", "less than or equal to 1"),
        ("constant", {"final": 0.1}, "final", "unknown key"),
        ("StepLR", {}, "step_size", "is required"),
        ("OneCycleLR", {"epochs": 3}, "epochs", "unknown key"),
        ("no/such.py:S", {}, "kind", "No such file"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_its_key(kind, options, key, says):
    _, (found,) = resolve(ScheduleSection(kind=kind, **options))
    assert found.path == (key,) and says in found.message


def test_a_schedule_is_tried_with_the_stages_optimizer():
    optimizer, _ = optimizers.resolve(OptimizerSection(kind="Adagrad"))
    stage = StageSection(
        loss=[{"kind": "softmax"}], optimizer=optimizer, schedule=resolved("OneCycleLR")
    )
    (found,) = check(stage)
    assert found.path == ("kind",) and "momentum" in found.message
