"""What is trained together: the embedder and the objective's heads."""

import copy

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
