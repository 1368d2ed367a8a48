"""One module on several processes: torch's DistributedDataParallel, which averages gradients in
backward, each process having its slice of a batch."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from starter import distributed
from starter.training.state import TrainState
from starter.training.trial import no_trace

# BatchNorm's statistics are shared when they are needed, not at every update.
_parameters = inspect.signature(DistributedDataParallel).parameters
_name = "forward_sync_buffers"  # since torch 2.14
SYNC_BUFFERS = _name if _name in _parameters else "broadcast_buffers"


def parallel(
    model: nn.Module, state: TrainState, loss: Callable[[], torch.Tensor]
) -> DistributedDataParallel:
    """The module wrapped. What is trained is fixed by this: wrap anew where freezing ends.

    loss: of a few images by the unwrapped module; tried out to see whether it uses every trained
        parameter, whose gradients the wrapper would wait for.
    """
    with no_trace(state):
        loss().backward()
        unused = any(p.grad is None for p in model.parameters() if p.requires_grad)
    some = distributed.agreed("unused" if unused else None) is not None
    options: dict[str, Any] = {SYNC_BUFFERS: False}
    return DistributedDataParallel(model, find_unused_parameters=some, **options)


def no_exchange(model: nn.Module) -> contextlib.AbstractContextManager:
    """Gradients stay in this process until the next backward outside of it."""
    if isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()
