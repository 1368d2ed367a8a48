"""Batches from the packed images: gathered by index, augmented, fetched ahead.

Three ways: a thread that gathers (nothing to augment, or the device does it), a thread or worker
processes that augment too.

Shapes: N images of the pack, M of a split, B of a batch, H W pixels, C channels.
"""

import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from starter.data.augment.pipeline import Augment
from starter.data.augment.source import DeviceSource, gather
from starter.data.samplers import batches_per_epoch, epoch_order
from starter.data.workers import in_new_processes, start
from starter.distributed import cores
from starter.errors import UserError
from starter.recipe.schema.data import Sampler

AHEAD = 3  # batches a thread prepares before they are asked for
T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Batch:
    """image_BHWC uint8, on the CPU or, from a DeviceSource, on its device; label_B, index_B int64
    (index into the catalog) on the CPU."""

    image_BHWC: torch.Tensor
    label_B: torch.Tensor
    index_B: torch.Tensor


def resolve_workers(workers: int | Literal["auto"], *, augmented: bool, device_type: str) -> int:
    """How many processes prepare batches; 0 is a thread of this one.

    augmented: whether images are augmented on the CPU. device_type: "cpu", "cuda", ...
    """
    if workers != "auto":
        return workers
    # Gathering is 10 times faster in a thread than through processes, and when the network is
    # on the CPU they would only take cores from it.
    if not augmented or device_type == "cpu":
        return 0
    return min(4, cores())


class TrainBatches:
    """The batches of a stage. The same for any number of workers, and from any position.

    image_NHWC: uint8; a memory map is reopened by workers, any other array copied to them.
    label_N: int64. index_M: the images to train on. sampler: their order. augment: or None.
    workers: 0 for a thread, else processes; they live until close(). pin_memory: for CUDA.
    on_device: brings the images to the device and augments them there, in place of all these.
    part: (k, n) for the k-th of n equal slices of each batch, for one of n training processes.
    One epoch at a time. Raises UserError for an empty split, one too small for the sampler, or a
    batch that n do not divide.
    """

    def __init__(
        self,
        image_NHWC: np.ndarray,
        label_N: np.ndarray,
        index_M: np.ndarray,
        *,
        batch_size: int,
        sampler: Sampler,
        augment: Augment | None,
        seed: int,
        workers: int,
        pin_memory: bool,
        part: tuple[int, int] = (0, 1),
        on_device: DeviceSource | None = None,
    ):
        assert on_device is None or augment is None
        if len(index_M) == 0:
            raise UserError("data: there are no images to train on")
        self.label_N, self.index_M = label_N, _checked(index_M, image_NHWC)
        self.batch_size, self.sampler, self.seed = batch_size, sampler, seed
        self.part = part
        self.batches_per_epoch = batches_per_epoch(len(index_M), batch_size)
        self._on_device = on_device
        workers = 0 if on_device else workers
        self._maker = _Maker(image_NHWC, augment, seed, pin_memory and workers == 0)
        self._tasks = _Tasks()
        self._loader = self._processes(workers, pin_memory) if workers else None
        size, parts = self._order(0).shape[1], part[1]  # so that what is wrong shows now
        if size % parts:  # of the one batch of a set that is smaller than a batch
            raise UserError(
                f"data: {parts} processes cannot share a batch of {size} images equally, and there "
                f"are no more to train on; set train.batch_size={size - size % parts}"
            )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches number `start` to the last of an epoch, a function of (seed, epoch).

        Raises UserError where an image cannot be augmented. Close the iterator, or let it be
        collected, to stop early: preparation stops too.
        """
        order_SB = self._order(epoch)
        size, (part, parts) = order_SB.shape[1], self.part
        first, own = part * size // parts, size // parts
        # Positions are those in the whole epoch: an image is augmented alike for any n.
        tasks = [
            _Task(epoch, number * size + first, order_SB[number, first : first + own])
            for number in range(start, len(order_SB))
        ]
        if self._on_device is not None:
            images = self._from_device(self._on_device, tasks)
        elif self._loader is None:
            images = _ahead(self._maker.make, tasks)
        else:
            images = self._from_processes(tasks)
        for task, image_BHWC in zip(tasks, images, strict=True):
            label_B = torch.from_numpy(self.label_N[task.index_B].astype(np.int64, copy=False))
            yield Batch(image_BHWC, label_B, torch.from_numpy(task.index_B))

    def close(self) -> None:
        """Ends the worker processes."""
        self._loader = None  # its iterator ends them when it is collected

    def _order(self, epoch: int) -> np.ndarray:
        return epoch_order(
            self.sampler,
            self.label_N,
            self.index_M,
            batch_size=self.batch_size,
            seed=self.seed,
            epoch=epoch,
        )

    def _from_device(self, source: DeviceSource, tasks: "list[_Task]") -> Iterator[torch.Tensor]:
        def stage(task: _Task):
            return source.stage(task.index_B, self.seed, task.epoch, task.position)

        for staged in _ahead(stage, tasks):
            yield source.finish(staged)

    def _from_processes(self, tasks: "list[_Task]") -> Iterator[torch.Tensor]:
        # No name here for the loader: the traceback of an error would keep it alive after close()
        # and its workers, collected at a bad moment, take 5 s to end.
        assert self._loader is not None
        self._tasks.tasks = tasks
        for made in self._loader:
            if isinstance(made, str):
                raise UserError(made)
            yield made

    def _processes(self, workers: int, pin_memory: bool) -> DataLoader:
        return DataLoader(
            self._maker,
            batch_size=None,  # a task is a whole batch
            sampler=self._tasks,
            num_workers=workers,
            persistent_workers=True,
            pin_memory=pin_memory,
            collate_fn=_unchanged,
            worker_init_fn=start,
            multiprocessing_context=in_new_processes(preload=__name__),
            generator=torch.Generator(),  # else it draws from the global one
        )


def eval_batches(
    image_NHWC: np.ndarray, index_M: np.ndarray, batch_size: int, pin_memory: bool = False
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Every image once, in order: (index_b int64, image_BHWC uint8).

    All batches have `batch_size` rows: the last row fills up the last batch, whose index_b is
    shorter. pin_memory: for a copy to CUDA that nothing waits for.
    """
    index_M = _checked(index_M, image_NHWC)
    maker = _Maker(image_NHWC, None, 0, pin_memory)
    parts = [index_M[i : i + batch_size] for i in range(0, len(index_M), batch_size)]
    padded = [np.pad(part, (0, batch_size - len(part)), mode="edge") for part in parts]
    images = _ahead(maker.make, [_Task(0, 0, index_B) for index_B in padded])
    yield from zip(parts, images, strict=True)


class _Task(NamedTuple):
    epoch: int
    position: int  # in the epoch, of the batch's first image
    index_B: np.ndarray


class _Tasks:
    """A sampler for a DataLoader that outlives an epoch: what to do is changed between epochs."""

    def __init__(self) -> None:
        self.tasks: list[_Task] = []

    def __iter__(self) -> Iterator[_Task]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


class _Maker(Dataset):
    """Gathers and augments; in a thread, or in another process where the pack is opened anew."""

    def __init__(
        self, image_NHWC: np.ndarray, augment: Augment | None, seed: int, pin_memory: bool
    ):
        self.image_NHWC, self.augment = image_NHWC, augment
        self.seed, self.pin_memory = seed, pin_memory

    def __getitem__(self, task: _Task) -> torch.Tensor | str:
        """For a DataLoader: an error of the user's as its message, which keeps it one line."""
        try:
            return self.make(task)
        except UserError as error:
            return str(error)

    def make(self, task: _Task) -> torch.Tensor:
        """image_BHWC uint8 of a task's images, augmented."""
        image_BHWC = gather(self.image_NHWC, task.index_B, self.pin_memory)
        if self.augment:
            self.augment.batch(image_BHWC.numpy(), self.seed, task.epoch, task.position)
        return image_BHWC

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        array = self.image_NHWC
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):  # not a part of one
            state["image_NHWC"] = (str(array.filename), array.dtype, array.shape, array.offset)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self.image_NHWC, tuple):
            path, dtype, shape, offset = self.image_NHWC
            self.image_NHWC = np.memmap(path, dtype, "r", offset, shape)


def _checked(index_M: np.ndarray, image_NHWC: np.ndarray) -> np.ndarray:
    index_M = np.asarray(index_M, np.int64)  # np.take in the mode used here would clip silently
    assert len(index_M) == 0 or (index_M.min() >= 0 and index_M.max() < len(image_NHWC))
    return index_M


def _ahead(function: Callable[[T], R], arguments: Iterable[T]) -> Iterator[R]:
    """map() in one background thread, AHEAD results in advance; its errors are raised here."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        try:
            for argument in arguments:
                pending.append(pool.submit(function, argument))
                if len(pending) > AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _unchanged(made: T) -> T:
    return made
