"""A recipe's `augment:` list as layers that work on a whole batch.

Shapes: B images, C channels, H W pixels, D uniform numbers an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from starter.data.augment.colour import Sent, Step
from starter.data.augment.counter import uniforms
from starter.data.augment.geometry import Border, Drawn, to_grid, warp


@dataclass(frozen=True)
class Entry:
    """One recipe entry: a step, and the gates that must all open: its own p, those around it.

    gates: (column of the uniform numbers, p); entries of one Sequential share its column.
    columns: those that its step draws from.
    """

    place: str
    step: Any  # a Step, or a map of geometry.py
    gates: tuple[tuple[int, float], ...]
    columns: slice

    def draw(self, u_BD: np.ndarray) -> Drawn:
        """What is done to each image, and `fired_B`, whether it is."""
        fired_B = np.ones(len(u_BD), bool)
        for column, p in self.gates:
            fired_B &= u_BD[:, column] < p
        return self.step.draw(u_BD[:, self.columns]) | {"fired": fired_B}


class Layer:
    """Entries that are applied together."""

    def __init__(self, entries: Sequence[Entry]):
        self.entries = list(entries)

    def host(self, drawn: list[Drawn]) -> Drawn | None:
        """The arrays that `apply` needs, of what each entry drew; None: nothing to do."""
        raise NotImplementedError

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        """The new images."""
        raise NotImplementedError


class Mirror(Layer):
    """Flips alone: exact, without sampling."""

    def host(self, drawn: list[Drawn]) -> Drawn | None:
        count = len(drawn[0]["fired"])
        flips = {f"axis_{axis}": np.zeros(count, bool) for axis in (0, 1)}
        for entry, what in zip(self.entries, drawn, strict=True):
            flips[f"axis_{entry.step.axis}"] ^= what["fired"]
        found = {name: flip_B for name, flip_B in flips.items() if flip_B.any()}
        return found or None

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        for name, dimension in (("axis_0", 3), ("axis_1", 2)):
            if name in sent:
                flip_B111 = sent[name][:, None, None, None] > 0
                image_BCHW = torch.where(flip_B111, image_BCHW.flip(dimension), image_BCHW)
        return image_BCHW


class Warp(Layer):
    """Flips and maps with one border, as one sampling of the original pixels.

    Where two maps follow each other, albumentations fills what the first has moved in from outside
    before the second moves it; here the image itself is seen there, if it reaches so far.
    """

    def __init__(self, entries: Sequence[Entry], border: Border, size: int):
        super().__init__(entries)
        self.border, self.size = border, size
        self.straight = all(type(e.step).__name__ != "Perspective" for e in entries)

    def host(self, drawn: list[Drawn]) -> Drawn | None:
        count = len(drawn[0]["fired"])
        inverse_B33 = np.tile(np.eye(3), (count, 1, 1))
        for entry, what in zip(self.entries, drawn, strict=True):
            own_B33 = entry.step.inverse(what, count)
            own_B33 = np.where(what["fired"][:, None, None], own_B33, np.eye(3))
            inverse_B33 = inverse_B33 @ own_B33
        return {"grid": to_grid(inverse_B33, self.size, self.border.mode)}

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        return warp(image_BCHW, sent["grid"], self.border, self.straight)


class Pixels(Layer):
    """One entry that changes the pixels of the images it is drawn for."""

    def host(self, drawn: list[Drawn]) -> Drawn | None:
        ((entry, what),) = zip(self.entries, drawn, strict=True)
        index_b = np.flatnonzero(what["fired"])
        if not len(index_b):
            return None
        chosen = {key: value[index_b] for key, value in what.items() if key != "fired"}
        found = entry.step.host(chosen)
        return found if len(index_b) == len(what["fired"]) else found | {"index": index_b}

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        step: Step = self.entries[0].step
        if "index" not in sent:
            return step.apply(image_BCHW, sent)
        index_b = sent["index"].long()
        return image_BCHW.index_copy(0, index_b, step.apply(image_BCHW[index_b], sent))


class Parcel:
    """Small arrays of the host that travel to the device in one copy, as float32."""

    def __init__(self, arrays: list[Drawn | None], pin: bool):
        flat: list[np.ndarray] = []
        self._places: list[dict[str, tuple[int, tuple[int, ...]]] | None] = []
        at = 0
        for named in arrays:
            places: dict[str, tuple[int, tuple[int, ...]]] = {}
            for name, array in (named or {}).items():
                places[name] = (at, array.shape)
                flat.append(np.asarray(array, np.float32).ravel())
                at += array.size
            self._places.append(None if named is None else places)
        self._all = torch.from_numpy(np.concatenate(flat)) if flat else torch.zeros(0)
        if pin:
            self._all = self._all.pin_memory()

    def unpack(self, device: torch.device) -> list[Sent | None]:
        """The arrays, in the order they were given."""
        there = self._all.to(device, non_blocking=True)
        return [
            None
            if places is None
            else {
                name: there[at : at + int(np.prod(shape))].view(shape)
                for name, (at, shape) in places.items()
            }
            for places in self._places
        ]


class DeviceAugment:
    """Draws what is done to each image of a batch, and does it on the images' device.

    What an image gets is a function of (seed, epoch, its position in the epoch) alone.
    """

    def __init__(self, layers: Sequence[Layer], draws: int, pin_memory: bool = False):
        self.layers, self.draws, self.pin_memory = list(layers), draws, pin_memory

    def draw(self, seed: int, epoch: int, position_B: np.ndarray) -> list[list[Drawn]]:
        """What each entry of each layer does to each image, by name, with `fired` (B,) bool."""
        u_BD = uniforms(seed, epoch, position_B, self.draws)
        return [[entry.draw(u_BD) for entry in layer.entries] for layer in self.layers]

    def pack(self, drawn: list[list[Drawn]]) -> Parcel:
        """The numbers that `apply` needs, ready to be sent."""
        sent = [layer.host(own) for layer, own in zip(self.layers, drawn, strict=True)]
        return Parcel(sent, self.pin_memory)

    def prepare(self, seed: int, epoch: int, position_B: np.ndarray) -> Parcel:
        """`draw` and `pack`: host work only, about 5 us an image."""
        return self.pack(self.draw(seed, epoch, position_B))

    @torch.no_grad()
    def apply(self, image_BHWC: torch.Tensor, parcel: Parcel) -> torch.Tensor:
        """Varied images, uint8 (B,H,W,C), on the device of image_BHWC, which is not changed."""
        sent = parcel.unpack(image_BHWC.device)
        image_BCHW = image_BHWC.permute(0, 3, 1, 2)
        if any(isinstance(layer, Warp | Pixels) for layer in self.layers):
            image_BCHW = image_BCHW.float()
        for layer, own in zip(self.layers, sent, strict=True):
            if own is not None:
                image_BCHW = layer.apply(image_BCHW, own)
        return image_BCHW.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def layers_of(entries: Sequence[Entry], size: int) -> list[Layer]:
    """Entries in their order, those next to each other that can be one sampling as one layer."""
    layers: list[Layer] = []
    run: list[Entry] = []
    border: Border | None = None  # of the run; a flip has none and goes with any

    def end_run() -> None:
        if run:
            layers.append(Mirror(run) if border is None else Warp(run, border, size))
            run.clear()

    for entry in entries:
        if isinstance(entry.step, Step):
            end_run()
            border = None
            layers.append(Pixels([entry]))
            continue
        if border is not None and entry.step.border not in (None, border):
            end_run()
            border = None
        run.append(entry)
        border = border or entry.step.border
    end_run()
    return layers
