"""One run on several processes, as torchrun starts them; with one, nothing here does anything.

Every process holds the whole learner, the optimizer and the averaged weights, and takes its slice
of each batch. What is exchanged keeps them equal, bit for bit: gradients are averaged before an
update, BatchNorm's running statistics are process 0's after it, and a loss term's own statistics
are summed where they arise (starter.losses.processes). Process 0 alone writes and logs.

Gradients are averaged here rather than by DistributedDataParallel, which covers what a wrapped
module's forward gives and no more: the heads, which see the embeddings and the labels, are outside
it. It also fixes at its making which parameters are trained (freeze.backbone changes that in the
middle of a stage), breaks the graph of torch.compile, and needs no_sync around micro-batches. The
price is that nothing is sent while backward still runs: 100 MB for a ResNet-50, one exchange an
update however many micro-batches it has.

Flags and decisions are CPU tensors, sent by gloo: agreeing on one does not wait for the GPU.

Shapes: M images, m those of one process, D embedding.
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from starter.losses.processes import alone, count, mean
from starter.recipe import UserError

__all__ = [
    "agreed",
    "alone",
    "average_gradients",
    "barrier",
    "count",
    "embed_shares",
    "first_does",
    "gather",
    "is_first",
    "least",
    "local_count",
    "local_first",
    "mean",
    "number",
    "share_buffers",
    "share_weights",
    "synchronise_batchnorm",
]

BUCKET_BYTES = 25 << 20  # of gradients sent at once: bounds the copies they are sent from
T = TypeVar("T")


def number() -> int:
    """Which process this is, 0 to count() - 1."""
    return dist.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes files and logs."""
    return number() == 0


def local_count() -> int:
    """How many of the processes are on this machine and share its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if count() > 1 else 1


def barrier() -> None:
    """Returns once every process has come here."""
    if count() > 1:
        dist.all_reduce(torch.zeros(1))  # dist.barrier would wait for the GPU


@contextlib.contextmanager
def local_first() -> Iterator[None]:
    """The first process of each machine goes through the body, then the others: what it draws or
    packs is there for them. A machine's disk may be its own, so process 0 alone is not enough."""
    first = count() == 1 or os.environ.get("LOCAL_RANK", str(number())) == "0"
    if not first:
        barrier()
    yield
    if first:
        barrier()


def first_does(work: Callable[[], T]) -> T:
    """Process 0 does it, once all are here, and all get what it returns (small, picklable)."""
    if count() == 1:
        return work()
    barrier()
    told = [work() if is_first() else None]
    dist.broadcast_object_list(told, src=0)
    return told[0]  # type: ignore[return-value]


def agreed(reason: str | None) -> str | None:
    """A reason that any process has becomes that of all, at the same update.

    Asked after every update: one small exchange on the CPU, which does not wait for the GPU.
    """
    if count() == 1:
        return reason
    some = torch.tensor([reason is not None], dtype=torch.uint8)
    dist.all_reduce(some, op=dist.ReduceOp.MAX)
    if not some.item():
        return None
    reasons: list[str | None] = [None] * count()
    dist.all_gather_object(reasons, reason)
    return next(given for given in reasons if given is not None)


def least(value: int | None) -> int | None:
    """The least of all processes' values; None, which is less than any, where one has none."""
    if count() == 1:
        return value
    held = torch.tensor([-1 if value is None else value])
    dist.all_reduce(held, op=dist.ReduceOp.MIN)
    return None if held.item() < 0 else int(held.item())


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces each gradient by its mean over the processes: of equal slices, so that it is the
    whole batch's.

    Called before a loss scale is taken out: a gradient that overflowed in one process overflows
    in all, and all skip the update. A parameter that no process used keeps no gradient and stays
    as it is; one that some used has a gradient of 0 from the others.
    """
    if count() == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    used = torch.tensor([p.grad is not None for p in trained], dtype=torch.uint8)
    dist.all_reduce(used, op=dist.ReduceOp.MAX)
    gradients = []
    for p, is_used in zip(trained, used.tolist(), strict=True):
        if is_used:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            gradients.append(p.grad)
    _exchange(gradients, lambda flat: (dist.all_reduce(flat), flat.div_(count())))


def share_buffers(module: nn.Module) -> None:
    """Gives all processes the floating-point buffers of process 0, as DistributedDataParallel does.

    These are BatchNorm's running statistics, of process 0's slices alone unless sync_batchnorm is
    on; its counters are the same everywhere.
    """
    floats = [b for b in module.buffers() if b.is_floating_point()]
    _exchange(floats, lambda flat: dist.broadcast(flat, src=0))


def share_weights(module: nn.Module) -> None:
    """Gives all processes the parameters and buffers of process 0."""
    everything = [*module.parameters(), *module.buffers()]
    _exchange(everything, lambda flat: dist.broadcast(flat, src=0))


def synchronise_batchnorm(module: nn.Module, device: torch.device, stage: str) -> None:
    """Has BatchNorm count the images of all processes. UserError on a CPU: torch's needs GPUs."""
    if count() == 1:
        return
    if device.type == "cpu":
        raise UserError(
            f"stages.{stage}.sync_batchnorm: torch's SyncBatchNorm needs GPUs; set "
            "train.sync_batchnorm=false, or run on one process"
        )
    nn.SyncBatchNorm.convert_sync_batchnorm(module)  # in place, as `module` itself is none


def embed_shares(images: int, batch_size: int) -> list[slice]:
    """Which of `images` rows each process embeds: whole batches, as one process would make them."""
    batches = -(-images // batch_size)
    ends = [min(batches * k // count() * batch_size, images) for k in range(count() + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def gather(own_mD: np.ndarray, shares: list[slice]) -> np.ndarray:
    """The rows of all processes, emb_MD float32; `own_mD` are those of this one's share."""
    if count() == 1:
        return own_mD
    dimension = torch.tensor([own_mD.shape[1]])
    dist.all_reduce(dimension, op=dist.ReduceOp.MAX)  # 0 where the share is empty
    whole_MD = torch.zeros(shares[-1].stop, int(dimension.item()))
    if len(own_mD):
        whole_MD[shares[number()]] = torch.from_numpy(own_mD)
    for k, share in enumerate(shares):
        if share.stop > share.start:
            dist.broadcast(whole_MD[share], src=k)
    return whole_MD.numpy()


@torch.no_grad()
def _exchange(tensors: list[Tensor], send: Callable[[Tensor], object]) -> None:
    """Sends tensors flat, a bucket at a time, and puts what came back in their place."""
    if count() == 1:
        return
    for bucket in _buckets(tensors):
        flat = torch.cat([t.reshape(-1) for t in bucket])
        send(flat)
        pieces = flat.split([t.numel() for t in bucket])
        for t, piece in zip(bucket, pieces, strict=True):
            t.copy_(piece.view(t.shape))


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type each, in order, of BUCKET_BYTES at most where they are not larger."""
    for dtype in dict.fromkeys(t.dtype for t in tensors):
        bucket: list[Tensor] = []
        held = 0
        for t in (t for t in tensors if t.dtype == dtype):
            size = t.numel() * t.element_size()
            if bucket and held + size > BUCKET_BYTES:
                yield bucket
                bucket, held = [], 0
            bucket.append(t)
            held += size
        if bucket:
            yield bucket
