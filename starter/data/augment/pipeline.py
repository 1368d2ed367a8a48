"""How training images vary: a recipe's `augment:` list, drawn and applied for a batch at a time.

The kit draws the steps it knows for a whole batch and applies them by opencv, for a quarter of the
time that albumentations takes, which draws for each image alone and keeps what only boxes and masks
need. It takes from a step's albumentations object what that has checked, and leaves the step to the
object where it has an argument that the kit does not do. All other steps, of albumentations, of
torchvision and of the user, are called image by image in their place.

Shapes: B batch, H W pixels, C channels, D uniform numbers an image.
"""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from starter.data.augment import geometry, pixels
from starter.data.augment.kinds import build_transforms, reason
from starter.data.augment.step import Function, NotOurs, Step, uniforms
from starter.errors import UserError
from starter.recipe.schema.base import Size, sides
from starter.recipe.schema.data import AugmentStep

TRIALS = 4  # images that every step is tried on before training starts
MAPS = (geometry.HorizontalFlip, geometry.VerticalFlip, geometry.Affine, geometry.Perspective)
COLOURS = (pixels.ColorJitter, pixels.RandomBrightnessContrast, pixels.ToGray)
LOCAL = (pixels.GaussianBlur, pixels.CoarseDropout, pixels.Erasing)
OURS: dict[str, type[Step]] = {step.__name__: step for step in (*MAPS, *COLOURS, *LOCAL)}


@dataclass(frozen=True)
class Entry:
    """A step of the kit, the columns of the uniform numbers that it draws from, and its gates.

    gates: (column, p) of its own p and of each Sequential around it; all must open.
    """

    step: Step
    columns: slice
    gates: tuple[tuple[int, float], ...]

    def fires(self, u_BD: np.ndarray) -> np.ndarray:
        """Whether it acts on each image, (B,) bool."""
        return np.all([u_BD[:, column] < p for column, p in self.gates], axis=0)


class Augment:
    """A recipe's `augment:` list: what an image gets is a function of (seed, epoch, position).

    image_size, channels: of the images it will get. Picklable (the transforms are built
    anew). One batch at a time: threads wait for each other.
    """

    def __init__(self, steps: Sequence[AugmentStep], image_size: Size, channels: int = 3):
        self.steps = tuple(steps)
        self.image_size, self.channels = image_size, channels
        self.transforms = build_transforms(self.steps)
        self.draws = 0  # uniform numbers for each image, given out to the kit's steps in turn
        # What the kit draws of each step; None where the step's object does it all.
        self.entries = [self._drawn_by_kit(transform) for transform in self.transforms]
        self._lock = threading.Lock()  # else two threads would share one image's random numbers
        # The others draw one after the other from these two, which are reseeded for every image.
        # (`Compose(seed=)` and `set_random_seed` of albumentations 2.0.8 give each transform its
        # own generator with the *same* seed, so that two flips always fire together.)
        self._bits = np.random.Philox(key=0)
        self._state = self._bits.state
        self._python = random.Random(0)
        generator = np.random.Generator(self._bits)
        for transform in self.transforms:  # reaches the transforms inside OneOf and the like
            transform.set_random_state(generator, self._python)

    def _drawn_by_kit(self, transform: Any) -> list[Entry] | None:
        """The entries of one of albumentations' objects; None where it is left to the object."""
        try:
            return self._entries(transform, ())
        except NotOurs:
            return None

    def _entries(self, transform: Any, outer: tuple) -> list[Entry]:
        gates = (*outer, (self._columns(1).start, float(transform.p)))
        kind = type(transform).__name__
        if kind == "Sequential":
            return self._sequence(transform.transforms, gates)
        if kind not in OURS:
            raise NotOurs
        return [self._entry(OURS[kind](transform, self.image_size, self.channels), gates)]

    def _sequence(self, transforms: list, gates: tuple) -> list[Entry]:
        entries, rest = [], list(transforms)
        while rest:
            first = rest.pop(0)
            pads = type(first).__name__ in ("Pad", "PadIfNeeded")
            if pads and rest and type(rest[0]).__name__ == "RandomCrop":
                step = geometry.PadAndCrop(first, rest.pop(0), self.image_size, self.channels)
                entries.append(self._entry(step, gates))
            else:
                entries += self._entries(first, gates)
        return entries

    def _entry(self, step: Step, gates: tuple) -> Entry:
        return Entry(step, self._columns(step.draws), gates)

    def _columns(self, count: int) -> slice:
        self.draws += count
        return slice(self.draws - count, self.draws)

    def __reduce__(self):
        return Augment, (self.steps, self.image_size, self.channels)

    def __call__(self, image_HWC: np.ndarray, seed: tuple[int, int, int]) -> np.ndarray:
        """A varied copy of one image: `batch` of it alone, seed as (seed, epoch, position)."""
        image_1HWC = image_HWC[None].copy()
        self.batch(image_1HWC, *seed)
        return image_1HWC[0]

    def batch(self, image_BHWC: np.ndarray, seed: int, epoch: int, position: int) -> None:
        """Varies the images, uint8, in place.

        seed: in [0, 2**64). epoch; position, in the epoch, of the first image: in [0, 2**32). An
        image gets what the three say, in whatever batch it is. Raises UserError naming the step
        that cannot take an image or does not keep its size and type.
        """
        assert image_BHWC.shape[1:] == (*sides(self.image_size), self.channels)
        todo_B = self._draw(len(image_BHWC), seed, epoch, position)
        with self._lock:
            for i, todo in enumerate(todo_B):
                if None in self.entries:
                    self._reseed(seed, epoch, position + i)
                varied_HWC = image_BHWC[i]
                for function in todo:
                    varied_HWC = function(varied_HWC, i)
                    if varied_HWC.ndim == 2:  # opencv drops the axis of a single channel
                        varied_HWC = varied_HWC[:, :, None]
                image_BHWC[i] = varied_HWC

    def _draw(self, count: int, seed: int, epoch: int, position: int) -> list[list[Function]]:
        """What is to be done to each image, in order."""
        todo_B: list[list[Function]] = [[] for _ in range(count)]
        u_BD = uniforms(seed, epoch, position + np.arange(count), self.draws)
        for number, entries in enumerate(self.entries):
            if entries is None:
                for todo in todo_B:
                    todo.append(partial(self._apply, number))
                continue
            for entry in entries:
                function = entry.step.function(entry.step.draw(u_BD[:, entry.columns]))
                for i in np.flatnonzero(entry.fires(u_BD)):
                    todo_B[i].append(function)
        return todo_B

    def _reseed(self, seed: int, epoch: int, position: int) -> None:
        # Philox is counter-based: a key and the high word of the counter select a stream of
        # 2**192 draws, for 1 us; a SeedSequence for each image would cost 10 us.
        self._state["state"]["key"][:] = seed, epoch
        self._state["state"]["counter"][:] = 0, 0, 0, position
        self._bits.state = self._state
        self._python.seed(self._bits.random_raw())

    def _apply(self, number: int, image_HWC: np.ndarray, i: int, **options: Any) -> np.ndarray:
        """What a step's own object makes of image number i of a batch."""
        step, size = self.steps[number], "x".join(map(str, image_HWC.shape))
        try:
            new_HWC = self.transforms[number](image=image_HWC, **options)["image"]
        except Exception as error:  # whatever a transform of someone else's raises
            raise UserError(
                f"augment.{number} ({step.kind}): cannot be applied to an image of {size}: "
                f"{reason(error, step.kind)}"
            ) from error
        mistake = changed(image_HWC, new_HWC)
        if mistake:
            raise UserError(f"augment.{number} ({step.kind}): {mistake}")
        return new_HWC

    def try_out(self) -> None:
        """Applies each step, whatever its p, to a few images of noise, which finds what a step
        cannot take; raises UserError."""
        shape = (TRIALS, *sides(self.image_size), self.channels)
        noise_NHWC = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        for number in range(len(self.steps)):
            for trial, image_HWC in enumerate(noise_NHWC):
                self._reseed(0, 0, trial)
                self._apply(number, image_HWC.copy(), trial, force_apply=True)
        self.batch(noise_NHWC, 0, 0, 0)


def build_augment(
    steps: Sequence[AugmentStep], image_size: Size, channels: int = 3
) -> Augment | None:
    """The pipeline of a recipe's `augment:` list, tried out; None for an empty list.

    image_size, channels: of the images it will get. Raises UserError naming the step: what
    `kinds.resolve` reports, a transform that changes an image's size or type or cannot take it.
    """
    if not steps:
        return None
    augment = Augment(steps, image_size, channels)
    augment.try_out()
    return augment


def changed(old_HWC: np.ndarray, new_HWC: object) -> str | None:
    """What is wrong with a step's image, None for nothing."""
    if not isinstance(new_HWC, np.ndarray):
        return f"gives {type(new_HWC).__name__}, not an image (numpy, uint8)"
    if new_HWC.dtype != np.uint8:
        return (
            f"makes {new_HWC.dtype} of uint8; leave it out: images are normalised with data.mean "
            "and data.std on the device"
        )
    if new_HWC.shape != old_HWC.shape:
        old, new = ("x".join(map(str, image.shape)) for image in (old_HWC, new_HWC))
        return (
            f"makes {new} of {old}; a step must keep the size: give it the image size, or wrap it "
            "with the step that restores the size in {kind: Sequential, p: 1, transforms: []}"
        )
    return None
