"""Optimizer, learning-rate schedule and averaged weights: all functions of the update's number."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from starter.recipe.schema.train import SGD, AdamW, Schedule
from starter.training.learner import Learner


def parameter_groups(learner: Learner, section: SGD | AdamW) -> list[dict]:
    """Splits the learner's parameters by part and by decay.

    Weight decay is decided by the number of dimensions (2 or more decay): names do not tell a
    BatchNorm in a shortcut from a convolution. Every parameter that is trained is in one group.
    """
    parts = {
        "backbone": learner.embedder.backbone,
        "neck": learner.embedder.neck,
        "head": learner.objective,
    }
    groups = []
    for part, module in parts.items():
        lr = section.lr * getattr(section.lr_scale, part)
        trained = [p for p in module.parameters() if p.requires_grad]
        for decays in (True, False):
            params = [p for p in trained if (p.ndim >= 2) == decays]
            if params:
                decay = section.weight_decay if decays else 0.0
                groups.append(
                    {
                        "params": params,
                        "lr": lr,
                        "initial_lr": lr,
                        "weight_decay": decay,
                        "part": part,
                    }
                )
    held = {id(p) for group in groups for p in group["params"]}
    assert held == {id(p) for p in learner.parameters() if p.requires_grad}
    return groups


def build_optimizer(
    learner: Learner, section: SGD | AdamW, device: torch.device
) -> torch.optim.Optimizer:
    """torch's optimizer of `section.kind`; fused on a GPU, where it saves kernel launches."""
    groups = parameter_groups(learner, section)
    fused = device.type == "cuda"
    if isinstance(section, SGD):
        nesterov = section.nesterov and section.momentum > 0
        return torch.optim.SGD(
            groups, lr=section.lr, momentum=section.momentum, nesterov=nesterov, fused=fused
        )
    return torch.optim.AdamW(groups, lr=section.lr, betas=section.betas, fused=fused)


@torch.no_grad()
def clip_adaptively(parameters: Iterable[nn.Parameter], factor: float, floor: float = 1e-3) -> None:
    """Adaptive gradient clipping (Brock et al. 2021, NFNets, eq. 3).

    Scales each output unit's gradient (a filter's, a row's; a vector's as a whole) to at most
    `factor` times the norm of that unit's weights, which counts as `floor` where it is less.
    """
    for p in parameters:
        if p.grad is None:
            continue
        over = tuple(range(1, p.ndim)) or None
        norm = torch.linalg.vector_norm(p.float(), dim=over, keepdim=True).clamp(min=floor)
        slope = torch.linalg.vector_norm(p.grad.float(), dim=over, keepdim=True)
        p.grad.mul_((factor * norm / slope.clamp(min=1e-6)).clamp(max=1.0).to(p.grad.dtype))


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Each group's rate: its highest one times `factor`.

    No scheduler object counts along: the rate is a function of the update's number alone, also
    where fp16's loss scaling skips an update.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def learning_rate_factor(
    section: Schedule, steps_per_epoch: int, steps: int
) -> Callable[[int], float]:
    """The factor on each group's highest learning rate at update `step`, 0-based.

    A linear warm-up from 1/W to 1 over W updates, then the closed form of torch's
    CosineAnnealingLR (Loshchilov & Hutter 2017, eq. 5) down to `final`. The closed form, as
    torch's class takes one absolute end rate for all groups, and lr_scale makes them differ.
    """
    warmup = min(round(section.warmup_epochs * steps_per_epoch), steps)
    span = max(steps - warmup, 1)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if section.kind == "constant":
            return 1.0
        done = min((step - warmup) / span, 1.0)
        return section.final + (1 - section.final) * 0.5 * (1 + math.cos(math.pi * done))

    return factor


class AveragedWeights:
    """Exponential moving average of a learner's weights and buffers, with warm-up.

    decay(step) = min(decay, (1 + step) / (10 + step)): a fixed 0.999 would still hold a third of
    the random initialisation after 1,000 updates. Integer buffers are copied.
    """

    def __init__(self, learner: Learner, decay: float):
        self.decay = decay
        self.module = learner.twin()
        self.module.load_state_dict(learner.state_dict())
        self.module.requires_grad_(False)

    @torch.no_grad()
    def update(self, learner: nn.Module, step: int) -> None:
        """Moves the average towards `learner` after update number `step`, 0-based."""
        decay = min(self.decay, (1 + step) / (10 + step))
        new = learner.state_dict()
        floats, targets = [], []
        for name, average in self.module.state_dict().items():
            if average.is_floating_point():
                floats.append(average)
                targets.append(new[name])
            else:
                average.copy_(new[name])
        torch._foreach_lerp_(floats, targets, 1 - decay)
