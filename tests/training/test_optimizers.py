"""Which parameters an optimizer gets, and which optimizers a recipe may name."""

import copy

import pytest
import torch
from torch import nn

from starter.recipe.schema.train import LearningRateScale, OptimizerSection
from starter.training.optimizers import build_optimizer, parameter_groups, resolve

CPU = torch.device("cpu")


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedder = nn.Module()
        self.embedder.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.embedder.neck = nn.Linear(4, 2, bias=False)
        self.objective = nn.Linear(2, 5)

    def twin(self):
        return copy.deepcopy(self)


def resolved(kind, **options):
    section, problems = resolve(OptimizerSection(kind=kind, **options))
    assert not problems, problems
    return section


@pytest.mark.parametrize("kind", ["sgd", "adamw", "RMSprop", "timm/lion"])
def test_decay_goes_by_dimensions_and_no_parameter_is_left_out(kind):
    toy, section = Toy(), resolved(kind, weight_decay=0.01)
    groups = parameter_groups(toy, section)
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.01 if parameter.ndim >= 2 else 0.0)
    assert sum(len(g["params"]) for g in groups) == len(list(toy.parameters()))


def test_the_kit_s_defaults():
    assert resolved("sgd").options == {
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
    }
    assert resolved("adamw").options == {"lr": 1e-3, "betas": [0.9, 0.999], "weight_decay": 0.05}


OWN = """
import torch

class Opt(torch.optim.Optimizer):
    def __init__(self, params, lr=0.5, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= group["lr"] * (p.grad + group["weight_decay"] * p)
"""


@pytest.mark.parametrize("kind", ["RMSprop", "Adafactor", "Rprop", "timm/muon", "timm/lamb", "own"])
def test_every_optimizer_takes_the_groups_and_learns(kind, tmp_path):
    if kind == "own":
        (tmp_path / "opt.py").write_text(OWN)
        kind = f"{tmp_path / 'opt.py'}:Opt"
    section = resolved(kind, lr=0.25, lr_scale=LearningRateScale(backbone=0.0, head=2.0))
    toy = Toy()
    before = copy.deepcopy(toy.state_dict())
    optimizer = build_optimizer(toy, section, CPU)
    for parameter in toy.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    rates = {group["part"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"backbone": 0.0, "neck": 0.25, "head": 0.5}
    for name, value in toy.named_parameters():
        assert torch.equal(value, before[name]) == ("backbone" in name and kind != "Rprop"), name


@pytest.mark.parametrize(
    "kind, options, key, says",
    [
        ("sdg", {}, "kind", "did you mean 'sgd'?"),
        ("RMSProp", {}, "kind", "did you mean 'RMSprop'?"),
        ("timm/moun", {}, "kind", "did you mean 'timm/muon'?"),
        ("sgd", {"lr": 0}, "lr", "greater than 0"),
        ("sgd", {"momentun": 0.9}, "momentun", "did you mean 'momentum'?"),
        ("RMSprop", {"betas": [0.9, 0.99]}, "betas", "unknown key"),
        ("RMSprop", {"lr": "high"}, "lr", "must be a number above 0"),
        ("RMSprop", {"alpha": -1.0}, "kind", "Invalid alpha value"),
        ("LBFGS", {}, "kind", "cannot be used"),
        ("SparseAdam", {}, "kind", "dense gradients"),
        ("no/such.py:Opt", {}, "kind", "No such file"),
    ],
)
def test_an_optimizer_that_cannot_be_used_is_refused_at_its_key(kind, options, key, says):
    _, (found,) = resolve(OptimizerSection(kind=kind, **options))
    assert found.path == (key,) and says in found.message


def test_betas_are_the_same_to_torch_as_a_list():
    made = build_optimizer(Toy(), resolved("adamw", betas=[0.8, 0.9]), CPU)
    assert tuple(made.param_groups[0]["betas"]) == (0.8, 0.9)
