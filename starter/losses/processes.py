"""Statistics of a batch that is spread over processes: the same on each of them."""

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """How many processes train together; 1 unless torchrun started more."""
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
