"""Batches from the stored images: gathered by index, augmented, fetched ahead.

A thread does it, or worker processes where augmenting would keep a GPU waiting.

Shapes: N stored images, M of a split, B of a batch, H W pixels, C channels.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from starter.data.augment.pipeline import Augment
from starter.data.samplers import batches_per_epoch, epoch_order
from starter.data.workers import ahead, in_new_processes, start
from starter.distributed import cores
from starter.errors import UserError
from starter.recipe.schema.data import Sampler

AHEAD = 3  # batches a thread prepares before they are asked for


@dataclass
class Batch:
    """image_BHWC uint8; label_B, index_B int64 (index into the catalog). All on the CPU."""

    image_BHWC: torch.Tensor
    label_B: torch.Tensor
    index_B: torch.Tensor


def resolve_workers(workers: int | Literal["auto"], *, augmented: bool, device_type: str) -> int:
    """How many processes prepare batches; 0 is a thread of this one.

    device_type: "cpu", "cuda", ...
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
    part: (k, n) for the k-th of n equal slices of each batch, for one of n training processes.
    One epoch at a time. Raises UserError for an empty split, one too small for the sampler, or a
    batch that n processes cannot share equally.
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
    ):
        if len(index_M) == 0:
            raise UserError("data: there are no images to train on")
        self.label_N, self.index_M, self.part = label_N, index_M, part
        self.batches_per_epoch = batches_per_epoch(len(index_M), batch_size)
        self._order = partial(epoch_order, sampler, label_N, index_M, batch_size, seed)
        self._maker = _Maker(image_NHWC, augment, seed, pin_memory and workers == 0)
        self._tasks: list[_Task] = []  # of the epoch under way
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
        self._tasks[:] = tasks
        images = ahead(self._maker.make, tasks, AHEAD) if self._loader is None else self._received()
        for task, image_BHWC in zip(tasks, images, strict=True):
            label_B = torch.from_numpy(self.label_N[task.index_B].astype(np.int64, copy=False))
            yield Batch(image_BHWC, label_B, torch.from_numpy(task.index_B))

    def close(self) -> None:
        """Ends the worker processes."""
        self._loader = None  # its iterator ends them when it is collected

    def _received(self) -> Iterator[torch.Tensor]:
        # No name here for the loader: the traceback of an error would keep it alive after close()
        # and its workers, collected at a bad moment, take 5 s to end.
        assert self._loader is not None
        for made in self._loader:
            if isinstance(made, str):
                raise UserError(made)
            yield made

    def _processes(self, workers: int, pin_memory: bool) -> DataLoader:
        return DataLoader(
            self._maker,
            batch_size=None,  # a task is a whole batch
            sampler=self._tasks,  # whose content changes between epochs, while the loader stays
            num_workers=workers,
            persistent_workers=True,
            pin_memory=pin_memory,
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
    maker = _Maker(image_NHWC, None, 0, pin_memory)
    parts = [index_M[i : i + batch_size] for i in range(0, len(index_M), batch_size)]
    padded = [np.pad(part, (0, batch_size - len(part)), mode="edge") for part in parts]
    images = ahead(maker.make, [_Task(0, 0, index_B) for index_B in padded], AHEAD)
    yield from zip(parts, images, strict=True)


class _Task(NamedTuple):
    epoch: int
    position: int  # in the epoch, of the batch's first image
    index_B: np.ndarray


class _Maker(Dataset):
    """Gathers and augments; in a thread, or in another process where the file is opened anew."""

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
        shape = (len(task.index_B), *self.image_NHWC.shape[1:])
        image_BHWC = torch.empty(shape, dtype=torch.uint8, pin_memory=self.pin_memory)
        # mode="raise", the default, would gather into a second buffer first. Indices are of the
        # catalog that the images were stored by.
        np.take(self.image_NHWC, task.index_B, axis=0, out=image_BHWC.numpy(), mode="clip")
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
