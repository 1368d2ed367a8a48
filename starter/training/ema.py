"""Averaged weights: a function of the update's number, like everything that is scheduled."""

import torch
from torch import nn

from starter.training.learner import Learner


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
