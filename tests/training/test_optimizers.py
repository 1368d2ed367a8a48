"""Schedules and averages against torch's own and against plain loops."""

import copy

import pytest
import torch
from torch import nn

from starter.recipe.schema.train import SGD, AdamW, LearningRateScale, Schedule
from starter.training.optimizers import (
    AveragedWeights,
    build_optimizer,
    clip_adaptively,
    learning_rate_factor,
    parameter_groups,
    set_learning_rates,
)


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedder = nn.Module()
        self.embedder.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.embedder.neck = nn.Linear(4, 2, bias=False)
        self.objective = nn.Linear(2, 5)

    def twin(self):
        return copy.deepcopy(self)


def test_cosine_equals_torchs_class_after_the_warm_up():
    section = Schedule(warmup_epochs=2, final=0.0)
    factor = learning_rate_factor(section, steps_per_epoch=5, steps=40)
    weight = nn.Parameter(torch.zeros(1))
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD([weight], lr=1.0), T_max=30)
    for step in range(10, 40):
        assert factor(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-6)
        theirs.optimizer.step()
        theirs.step()


def test_warm_up_starts_low_and_reaches_the_highest_rate():
    factor = learning_rate_factor(Schedule(warmup_epochs=2), steps_per_epoch=5, steps=40)
    assert [factor(step) for step in range(10)] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert factor(10) == 1.0


def test_final_is_a_share_of_each_groups_own_rate():
    section = SGD(kind="sgd", lr=0.1, lr_scale=LearningRateScale(backbone=0.1, head=10))
    optimizer = build_optimizer(Toy(), section, torch.device("cpu"))
    factor = learning_rate_factor(Schedule(final=0.01), steps_per_epoch=1, steps=8)
    set_learning_rates(optimizer, factor(8))
    rates = {group["part"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"backbone": 1e-4, "neck": 1e-3, "head": 1e-2})


@pytest.mark.parametrize("section", [SGD(kind="sgd"), AdamW(kind="adamw")], ids=["sgd", "adamw"])
def test_decay_goes_by_dimensions_and_no_parameter_is_left_out(section):
    toy = Toy()
    groups = parameter_groups(toy, section)
    for group in groups:
        for parameter in group["params"]:
            wanted = section.weight_decay if parameter.ndim >= 2 else 0.0
            assert group["weight_decay"] == wanted
    assert sum(len(g["params"]) for g in groups) == len(list(toy.parameters()))


def test_averaged_weights_equal_a_plain_loop():
    torch.manual_seed(0)
    toy = Toy()
    average = AveragedWeights(toy, decay=0.9)
    wanted = {name: value.double().clone() for name, value in toy.state_dict().items()}
    for step in range(30):
        with torch.no_grad():
            for parameter in toy.parameters():
                parameter.add_(torch.randn_like(parameter))
        toy.embedder.backbone[1].num_batches_tracked += 1
        average.update(toy, step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in toy.state_dict().items():
            if value.is_floating_point():
                wanted[name] = decay * wanted[name] + (1 - decay) * value.double()
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), wanted[name], rtol=1e-5, atol=1e-6)
    assert average.module.embedder.backbone[1].num_batches_tracked == 30


def test_constant_schedule_stays_at_the_highest_rate():
    section = Schedule(kind="constant")
    factor = learning_rate_factor(section, steps_per_epoch=3, steps=9)
    assert [factor(step) for step in range(9)] == [1.0] * 9


@pytest.mark.parametrize("factor", [0.01, 0.3])
def test_adaptive_clipping_is_the_paper_s(factor):
    """Brock et al. 2021, eq. 3, unit by unit; timm's agrees where no gradient is in float32."""
    from timm.utils.agc import adaptive_clip_grad

    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 5))
    nn.init.zeros_(ours[0].weight[1])  # a unit of norm 0 counts as 1e-3
    theirs = copy.deepcopy(ours)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        mine.grad = torch.randn_like(mine) * torch.rand(len(mine), *[1] * (mine.ndim - 1)) ** 8
        other.grad = mine.grad.clone()
    before = [p.grad.clone() for p in ours.parameters()]
    clip_adaptively(ours.parameters(), factor)
    adaptive_clip_grad(theirs.parameters(), factor)
    clipped = kept = 0
    for p, other, old in zip(ours.parameters(), theirs.parameters(), before, strict=True):
        torch.testing.assert_close(p.grad, other.grad)
        units = zip(p, p.grad, old, strict=True) if p.ndim > 1 else [(p, p.grad, old)]
        for weight, new, grad in units:
            largest = factor * max(weight.norm().item(), 1e-3)
            if grad.norm() > largest:
                assert new.norm().item() == pytest.approx(largest, rel=1e-4)
                clipped += 1
            else:
                torch.testing.assert_close(new, grad)
                kept += 1
    assert clipped and (kept or factor < 0.1)


def test_adaptive_clipping_leaves_a_frozen_part_alone():
    layer = nn.Linear(2, 2)
    clip_adaptively(layer.parameters(), 0.01)
    assert layer.weight.grad is None
