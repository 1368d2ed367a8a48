"""Statistics of a batch that is spread over processes: the same on each of them."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor

_alone = ContextVar("alone", default=False)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Nothing is exchanged in the body: for a trial that may fail in one process, where the others
    would wait for ever."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def count() -> int:
    """How many processes train together; 1 unless torchrun started more, and within `alone`."""
    if _alone.get():
        return 1
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def total(x: Tensor) -> Tensor:
    """The sum of x over all processes; x itself where there is one. Not differentiable."""
    if count() > 1:
        x = x.clone()
        dist.all_reduce(x)
    return x


@torch.no_grad()
def mean(x: Tensor) -> Tensor:
    """The mean of x over all processes; x itself where there is one. Not differentiable."""
    return total(x) / count() if count() > 1 else x
