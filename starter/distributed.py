"""One run on several processes, as torchrun starts them; with one, nothing here does anything.

Rank 0 alone writes files and logs. Flags and decisions are CPU tensors, sent by gloo: agreeing on
one does not wait for the GPU. Importing this imports no torch, so that a command that is refused
is refused at once.

Shapes: M images, m those of one process, D embedding.
"""

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from starter.errors import INTERRUPTED, STOPPED_EARLY, USER_ERROR, Interrupted, UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
# A process that ends breaks its connections, which the others notice at once; this is for one
# that waits: for rank 0 to pack a large set, or to draw a report.
PATIENCE = timedelta(hours=2)
_alone = ContextVar("alone", default=False)


def rank() -> int:
    """Which process this is, 0 to world_size() - 1."""
    return _dist().get_rank() if world_size() > 1 else 0


def world_size() -> int:
    """How many processes train together; 1 unless torchrun started more, and within `alone`."""
    dist = sys.modules.get("torch.distributed")
    if dist is None or _alone.get() or not (dist.is_available() and dist.is_initialized()):
        return 1
    return dist.get_world_size()


def is_main() -> bool:
    """Whether this is the process that writes files and logs."""
    return rank() == 0


def local_world_size() -> int:
    """How many of the processes are on this machine and share its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def cores() -> int:
    """Cores that this process may use: what an affinity mask or a container's quota leaves."""
    from joblib import cpu_count

    return int(cpu_count())


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Nothing is exchanged in the body: for a trial that may fail in one process, where the others
    would wait for ever."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def barrier() -> None:
    """Returns once every process has come here."""
    if world_size() > 1:
        import torch

        _dist().all_reduce(torch.zeros(1))  # dist.barrier would wait for the GPU


@contextlib.contextmanager
def local_first() -> Iterator[None]:
    """The first process of each machine goes through the body, then the others: what it draws or
    packs is there for them. A machine's disk may be its own, so rank 0 alone is not enough."""
    first = world_size() == 1 or os.environ.get("LOCAL_RANK", str(rank())) == "0"
    if not first:
        barrier()
    yield
    if first:
        barrier()


def main_does(work: Callable[[], T]) -> T:
    """Rank 0 does it, once all are here, and all get what it returns (small, picklable)."""
    if world_size() == 1:
        return work()
    barrier()
    answer = [work() if is_main() else None]
    _dist().broadcast_object_list(answer, src=0)
    return answer[0]  # type: ignore[return-value]


def agreed(reason: str | None) -> str | None:
    """A reason that any process has becomes that of all, at the same update.

    Asked after every update: one small exchange on the CPU, which does not wait for the GPU.
    """
    if world_size() == 1:
        return reason
    import torch

    dist = _dist()
    some = torch.tensor([reason is not None], dtype=torch.uint8)
    dist.all_reduce(some, op=dist.ReduceOp.MAX)
    if not some.item():
        return None
    reasons: list[str | None] = [None] * world_size()
    dist.all_gather_object(reasons, reason)
    return next(given for given in reasons if given is not None)


def least(value: int | None) -> int | None:
    """The least of all processes' values; None, which is less than any, where one has none."""
    if world_size() == 1:
        return value
    import torch

    lowest = torch.tensor([-1 if value is None else value])
    _dist().all_reduce(lowest, op=_dist().ReduceOp.MIN)
    return None if lowest.item() < 0 else int(lowest.item())


def total(x: "Tensor") -> "Tensor":
    """The sum of x over all processes; x itself where there is one. Not differentiable."""
    if world_size() == 1:
        return x.detach()
    summed = x.detach().clone()
    _dist().all_reduce(summed)
    return summed


def mean(x: "Tensor") -> "Tensor":
    """The mean of x over all processes; x itself where there is one. Not differentiable."""
    return total(x) / world_size()


def share_buffers(module: "nn.Module") -> None:
    """Gives all processes the floating-point buffers of rank 0.

    These are BatchNorm's running statistics, of rank 0's slices alone unless sync_batchnorm is on;
    its counters are the same everywhere.
    """
    if world_size() > 1:
        for buffer in module.buffers():
            if buffer.is_floating_point():
                _dist().broadcast(buffer, src=0)


def share_weights(module: "nn.Module") -> None:
    """Gives all processes the parameters and buffers of rank 0."""
    if world_size() > 1:
        for tensor in [*module.parameters(), *module.buffers()]:
            _dist().broadcast(tensor.data, src=0)


def embed_shares(images: int, batch_size: int) -> list[slice]:
    """Which of `images` rows each process embeds: whole batches, as one process would make them."""
    batches, count = -(-images // batch_size), world_size()
    ends = [min(batches * k // count * batch_size, images) for k in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def gather(own_mD: np.ndarray, shares: list[slice]) -> np.ndarray:
    """The rows of all processes, emb_MD float32; `own_mD` are those of this one's share."""
    if world_size() == 1:
        return own_mD
    import torch

    dist = _dist()
    dimension = torch.tensor([own_mD.shape[1]])
    dist.all_reduce(dimension, op=dist.ReduceOp.MAX)  # 0 where the share is empty
    whole_MD = torch.zeros(shares[-1].stop, int(dimension.item()))
    if len(own_mD):
        whole_MD[shares[rank()]] = torch.from_numpy(own_mD)
    for k, share in enumerate(shares):
        if share.stop > share.start:
            dist.broadcast(whole_MD[share], src=k)
    return whole_MD.numpy()


@contextlib.contextmanager
def joined() -> Iterator[bool]:
    """Makes the processes of `torchrun --nproc-per-node N train.py` one run.

    Yields whether this process is the one that prints and writes. What is raised inside ends all
    processes: the one that fails first raises it on, the others exit without a word.

    Raises:
        UserError: more processes than GPUs; a process that was killed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield True
        return
    dist = _dist()
    if dist.is_initialized():  # train.py joins before it reads the recipe
        yield dist.get_rank() == 0
        return
    store, rank, processes = next(dist.rendezvous("env://", timeout=PATIENCE))
    # After a restart by torchrun the store still holds the addresses of the processes before it.
    store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    try:
        dist.init_process_group(
            _backend(), store=store, rank=rank, world_size=processes, timeout=PATIENCE
        )
        yield rank == 0
    except BaseException as error:
        # No destroy_process_group: it would wait for those that this process has just left.
        if not _fails_first(store):
            raise SystemExit(_exit_code(error)) from None
        if _is_broken(error):
            raise UserError(
                "another process of this run ended without a word (killed? out of memory?); run "
                "the same command to continue"
            ) from error
        raise
    dist.destroy_process_group()


def _dist() -> Any:
    import torch.distributed

    return torch.distributed


def _backend() -> str:
    """gloo for what is on the CPU and nccl for what is on the GPU of this process."""
    import torch

    if not torch.cuda.is_available():
        return "gloo"
    local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= there:
        raise UserError(
            f"more processes than GPUs on this machine: torchrun --nproc-per-node {there}"
        )
    torch.cuda.set_device(local)  # from here on "cuda" is this one
    return "cpu:gloo,cuda:nccl" if torch.distributed.is_nccl_available() else "gloo"


def _fails_first(store: Any) -> bool:
    """Whether no other process has failed before."""
    try:
        return store.add("starter/failed", 1) == 1
    except RuntimeError:  # the store went with the process that kept it
        return False


def _exit_code(error: BaseException) -> int:
    """The exit code of a process that leaves the word to another."""
    if isinstance(error, Interrupted):
        return STOPPED_EARLY
    usual = INTERRUPTED if isinstance(error, KeyboardInterrupt) else USER_ERROR
    return getattr(error, "exit_code", usual)


def _is_broken(error: BaseException) -> bool:
    """Whether torch lost the connection to another process."""
    named = isinstance(error, RuntimeError) and str(error).startswith("[") and "gloo" in str(error)
    return named or isinstance(error, _dist().DistError)
