"""What is trained together, the embedder and the objective's heads, and its averaged weights."""

import copy

import torch
from torch import nn

from starter.losses import Objective
from starter.models import Embedder


class Learner(nn.Module):
    """An embedder with the loss terms that train it.

    Attributes:
        embedder: image_BCHW -> emb_BD.
        objective: (emb_BD, target, progress) -> loss.
    """

    def __init__(self, embedder: Embedder, objective: Objective):
        super().__init__()
        self.embedder = embedder
        self.objective = objective

    def twin(self) -> "Learner":
        """A copy that shares nothing, for averaged weights."""
        return copy.deepcopy(self)

    def set_training(self, *, backbone_frozen: bool, batchnorm_frozen: bool) -> None:
        """Training mode with the parts that a stage freezes held still.

        A frozen backbone gets no gradient and keeps its BatchNorm statistics; frozen BatchNorm
        keeps the statistics of the whole embedder but still learns its scale and shift.
        """
        self.train()
        self.embedder.backbone.requires_grad_(not backbone_frozen)
        if backbone_frozen:
            self.embedder.backbone.eval()
        if batchnorm_frozen:
            for module in self.embedder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()


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
