"""Optimizers by name: the kit's two, any of torch.optim or timm that steps without a closure, and
a user's own class."""

import io
import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from torch import nn

from starter.recipe.named import fill, find, options_model, problem
from starter.recipe.problems import Problem
from starter.recipe.schema.base import Positive, Rate
from starter.recipe.schema.train import OptimizerSection
from starter.training.learner import Learner

TIMM = "timm/"
HighestRate = Annotated[Positive, Field(description="the highest learning rate")]
Decay = Annotated[float, Field(ge=0, description="weight decay of tensors with 2 dims or more")]


class SGD(torch.optim.SGD):
    """Stochastic gradient descent with momentum."""

    def __init__(
        self,
        params: list[dict],
        lr: HighestRate = 0.1,
        momentum: Annotated[float, Field(ge=0, lt=1, description="share of the last update")] = 0.9,
        nesterov: Annotated[bool, Field(description="look ahead by the momentum")] = True,
        weight_decay: Decay = 5e-4,
        fused: bool = False,
    ):
        nesterov = nesterov and momentum > 0
        super().__init__(params, lr, momentum, 0.0, weight_decay, nesterov, fused=fused)


class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay."""

    def __init__(
        self,
        params: list[dict],
        lr: HighestRate = 1e-3,
        betas: Annotated[
            tuple[Rate, Rate],
            Field(strict=False, description="decay of the running mean and of the mean square"),
        ] = (0.9, 0.999),
        weight_decay: Decay = 0.05,
        fused: bool = False,
    ):
        super().__init__(params, lr, betas, weight_decay=weight_decay, fused=fused)


KINDS: dict[str, Callable[..., torch.optim.Optimizer]] = {"sgd": SGD, "adamw": AdamW}
TORCHS = {
    name: value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
}
SUPPLIED = ("params", "fused")


def options_of(target: Callable) -> type[BaseModel]:
    """What a recipe may state of one of the kit's, for the schema and its page."""
    return options_model(target, given=SUPPLIED)


def resolve(section: OptimizerSection) -> tuple[OptimizerSection, list[Problem]]:
    """The section with the class's defaults filled in, and every mistake at its place.

    A class is tried with a step on three small tensors, so that one that needs a closure, sparse
    gradients or matrices alone is refused before any data is read.
    """
    target = _target(section)
    if isinstance(target, Problem):
        return section, [target]
    typed = section.kind in KINDS
    section, problems = fill(section, target, given=SUPPLIED, typed=typed)
    if problems:
        return section, problems
    lr = section.options.get("lr")
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < math.inf:
        message = "the schedule multiplies the class's `lr`, which must be a number above 0"
        return section, [problem(section, "lr", f"{message} (got {lr!r})")]
    try:
        trial = trial_optimizer(section)
        trial.step()
        require_plain(trial.state_dict())
    except Exception as error:
        return section, [problem(section, "kind", f"{section.kind} cannot be used: {error}")]
    return section, []


PLACES = (
    "the kit has sgd and adamw, torch.optim classes go by their own names (RMSprop), timm's as "
    "timm/NAME, your own as path/opt.py:Class"
)


def _target(section: OptimizerSection) -> Callable[..., torch.optim.Optimizer] | Problem:
    """The class that `kind` names, or what is wrong with it."""
    if not section.kind.startswith(TIMM):
        return find(section, "optimizer", TORCHS | KINDS, PLACES)
    from timm.optim import get_optimizer_class, list_optimizers

    names = {f"{TIMM}{name}": name for name in list_optimizers()}
    name = find(section, "optimizer", names, PLACES)
    try:
        return name if isinstance(name, Problem) else get_optimizer_class(name)
    except Exception as error:  # a package that this one needs
        return problem(section, "kind", str(error))


def trial_optimizer(section: OptimizerSection) -> torch.optim.Optimizer:
    """The section's optimizer over a matrix, a vector and a convolution, with gradients of 0."""
    tensors = [nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (2,), (2, 2, 1, 1))]
    for tensor in tensors:
        tensor.grad = torch.zeros_like(tensor)
    return _make(section, _groups({"backbone": tensors}, section))


def require_plain(state: dict) -> None:
    """Raises where `state` could not be read back from resume.pt, which holds no pickled code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    torch.load(buffer, weights_only=True)


def build_optimizer(
    learner: Learner, section: OptimizerSection, device: torch.device
) -> torch.optim.Optimizer:
    """The optimizer of a resolved section; the kit's are fused on a GPU, where it saves kernel
    launches."""
    fused = {"fused": device.type == "cuda"} if section.kind in KINDS else {}
    return _make(section, parameter_groups(learner, section), **fused)


def _make(section: OptimizerSection, groups: list[dict], **options: Any) -> torch.optim.Optimizer:
    target = _target(section)
    assert not isinstance(target, Problem)
    return target(groups, **section.options, **options)


def parameter_groups(learner: Learner, section: OptimizerSection) -> list[dict]:
    """Splits the learner's parameters by part and by decay; each that is trained is in one group.

    `highest_lr` of a group is what a schedule multiplies.
    """
    parts = {
        "backbone": learner.embedder.backbone,
        "neck": learner.embedder.neck,
        "head": learner.objective,
    }
    trained = {n: [p for p in m.parameters() if p.requires_grad] for n, m in parts.items()}
    groups = _groups(trained, section)
    held = [id(p) for group in groups for p in group["params"]]
    wanted = {id(p) for p in learner.parameters() if p.requires_grad}
    assert len(held) == len(wanted) and set(held) == wanted
    return groups


def _groups(parts: dict[str, list[nn.Parameter]], section: OptimizerSection) -> list[dict]:
    """Weight decay is decided by the number of dimensions (2 or more decay): names do not tell a
    BatchNorm in a shortcut from a convolution."""
    groups = []
    for part, parameters in parts.items():
        lr = section.lr * getattr(section.lr_scale, part)
        for decays in (True, False):
            params = [p for p in parameters if (p.ndim >= 2) == decays]
            group = {"params": params, "lr": lr, "highest_lr": lr, "part": part}
            if "weight_decay" in section.options:
                group["weight_decay"] = section.options["weight_decay"] if decays else 0.0
            if params:
                groups.append(group)
    return groups
