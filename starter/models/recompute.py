"""Activations that are computed again in the backward pass instead of being kept.

The result is the same to the last bit: a stage draws the same random numbers again, and its
BatchNorms count a batch once.
"""

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(stage: nn.Module, x: Tensor) -> Tensor:
    """stage(x), of which only x is kept for the backward pass."""

    def contexts() -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
        return contextlib.nullcontext(), _statistics_left(stage)

    result = checkpoint(stage, x, use_reentrant=False, context_fn=contexts)
    assert isinstance(result, Tensor)
    return result


@contextlib.contextmanager
def _statistics_left(stage: nn.Module) -> Iterator[None]:
    """Lets BatchNorm count the batch into copies of its statistics, which are thrown away.

    Counting cannot be switched off: the statistics are among the tensors that a backward pass
    keeps, and it has to find as many as in the forward pass.
    """
    own = [
        (module, name, statistic)
        for module in stage.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
        for name, statistic in module.named_buffers(recurse=False)
    ]
    for module, name, statistic in own:
        setattr(module, name, statistic.clone())
    try:
        yield
    finally:
        for module, name, statistic in own:
            setattr(module, name, statistic)
