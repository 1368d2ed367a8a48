"""Batches on the device: gathered on the host and copied, or taken from a copy that stays there.

Shapes: N images of the pack, M to train on, B of a batch, H W pixels, C channels.
"""

import logging
from typing import NamedTuple

import numpy as np
import torch

from starter.data.augment.on_device import DeviceAugment, Parcel

log = logging.getLogger(__name__)

RESIDENT_SHARE = 0.5  # of the free memory: the rest is for activations


class Staged(NamedTuple):
    """A batch as the host has prepared it. image_BHWC: None where the device has the images."""

    image_BHWC: torch.Tensor | None
    row_B: torch.Tensor
    parcel: Parcel | None


def free_memory(device: torch.device) -> int | None:
    """Bytes that a GPU has left; None for a CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def may_stay(needed: int, free: int | None) -> bool:
    """Whether images of `needed` bytes may stay on a device with `free` bytes left."""
    return free is not None and needed <= RESIDENT_SHARE * free


class DeviceSource:
    """Training images for one device, augmented there.

    image_NHWC: the pack, uint8. index_M: the images to train on. augment: or None. free: bytes
    that the device has left, or None for no copy that stays. `stage` runs in a thread, `finish`
    in the one that trains. A copy that stays fills up as batches come by, so that nothing waits
    for it at the start.
    """

    def __init__(
        self,
        image_NHWC: np.ndarray,
        index_M: np.ndarray,
        augment: DeviceAugment | None,
        device: torch.device,
        free: int | None = None,
    ):
        self.image_NHWC, self.augment, self.device = image_NHWC, augment, device
        self._item_M = np.unique(index_M)
        shape = (len(self._item_M), *image_NHWC.shape[1:])
        needed = int(np.prod(shape, dtype=np.int64))
        self._resident_MHWC: torch.Tensor | None = None
        self._there_M = np.zeros(len(self._item_M), bool)
        if may_stay(needed, free):
            self._resident_MHWC = torch.empty(shape, dtype=torch.uint8, device=device)
        if augment is not None:
            log.info("images are augmented on the device (%s), in batches", device.type)
        if free is not None:
            verb = "stay there" if self.resident else "are copied batch by batch"
            log.info(
                "%d training images need %.2f GB, the device has %.1f GB free: they %s",
                len(self._item_M),
                needed / 1e9,
                free / 1e9,
                verb,
            )

    @property
    def resident(self) -> bool:
        """Whether the device keeps the images."""
        return self._resident_MHWC is not None

    def stage(self, index_B: np.ndarray, seed: int, epoch: int, position: int) -> Staged:
        """Gathers what the device lacks and draws what is done to each image: host work only.

        position: in the epoch, of the batch's first image.
        """
        row_B = np.searchsorted(self._item_M, index_B)
        pin = self.device.type == "cuda"
        image_BHWC = None
        if not (self.resident and self._there_M[row_B].all()):
            image_BHWC = gather(self.image_NHWC, index_B, pin)
        parcel = None
        if self.augment is not None:
            parcel = self.augment.prepare(seed, epoch, position + np.arange(len(index_B)))
        rows = torch.from_numpy(row_B)
        return Staged(image_BHWC, rows.pin_memory() if pin else rows, parcel)

    def finish(self, staged: Staged) -> torch.Tensor:
        """image_BHWC uint8 on the device, augmented."""
        row_B = staged.row_B.to(self.device, non_blocking=True)
        if staged.image_BHWC is None:
            assert self._resident_MHWC is not None
            image_BHWC = self._resident_MHWC[row_B]
        else:
            image_BHWC = staged.image_BHWC.to(self.device, non_blocking=True)
            if self._resident_MHWC is not None:
                self._resident_MHWC[row_B] = image_BHWC
                self._there_M[staged.row_B.numpy()] = True
        if staged.parcel is None:
            return image_BHWC
        assert self.augment is not None
        return self.augment.apply(image_BHWC, staged.parcel)


def gather(image_NHWC: np.ndarray, index_B: np.ndarray, pin_memory: bool) -> torch.Tensor:
    """image_BHWC uint8 on the CPU; index_B must lie inside."""
    shape = (len(index_B), *image_NHWC.shape[1:])
    image_BHWC = torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)
    # mode="raise", the default, would gather into a second buffer first
    np.take(image_NHWC, index_B, axis=0, out=image_BHWC.numpy(), mode="clip")
    return image_BHWC
