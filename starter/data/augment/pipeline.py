"""How training images vary: on the CPU, and mixed on the device.

Shapes: B batch, C channels, H W pixels, D uniform numbers an image.
"""

import functools
import random
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from starter.data.augment import opencv
from starter.data.augment.counter import uniforms
from starter.data.augment.on_device import Entry
from starter.data.augment.opencv import Function
from starter.data.augment.plan import known
from starter.data.augment.transforms import build_transforms, one_line, place_of
from starter.errors import UserError
from starter.recipe.schema.data import AugmentStep

TRIALS = 4  # images that every step is tried on before training starts


class Augment:
    """A recipe's `augment:` list, seeded for every image.

    Entries that the kit knows are drawn for a whole batch, as they are for the device, and applied
    by opencv. The others, albumentations' and torchvision's own, draw one after the other from one
    numpy and one Python generator, reseeded for every image. (`Compose(seed=)` and
    `set_random_seed` of albumentations 2.0.8 give each transform its own generator with the *same*
    seed, so that two flips always fire together.)

    image_size, channels: of the square images it will get. own: False for albumentations and
    torchvision alone, a comparison's other side. Picklable (the transforms are built anew). One
    batch at a time: threads wait for each other.
    """

    def __init__(
        self, steps: Sequence[AugmentStep], image_size: int, channels: int = 3, *, own: bool = True
    ):
        self.steps = tuple(steps)
        self.image_size, self.channels, self.own = image_size, channels, own
        self.transforms = build_transforms(self.steps)
        self._known: list[list[Entry] | None] = [None] * len(self.steps)
        self._draws = 0
        if own:
            kinds = [step.kind for step in self.steps]
            self._known, self._draws = known(kinds, self.transforms, image_size, channels)
        self._bits = np.random.Philox(key=0)
        self._state = self._bits.state
        self._python = random.Random(0)
        self._lock = threading.Lock()  # else two threads would share one image's random numbers
        generator = np.random.Generator(self._bits)
        for transform in self.transforms:  # reaches the transforms inside OneOf and the like
            transform.set_random_state(generator, self._python)

    def __reduce__(self):
        make = functools.partial(Augment, own=self.own)
        return make, (self.steps, self.image_size, self.channels)

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
        assert image_BHWC.shape[1:] == (self.image_size, self.image_size, self.channels)
        todo_B = self._draw(len(image_BHWC), seed, epoch, position)
        with self._lock:
            for i, todo in enumerate(todo_B):
                if None in self._known:
                    self._reseed(seed, epoch, position + i)
                made_HWC = image_BHWC[i]
                for function in todo:
                    made_HWC = function(made_HWC, i)
                    if made_HWC.ndim == 2:  # opencv drops the axis of a single channel
                        made_HWC = made_HWC[:, :, None]
                image_BHWC[i] = made_HWC

    def try_out(self) -> None:
        """Applies each step's transform, whatever its p, to a few images of noise, which finds what
        a step cannot take (known ones too); raises UserError."""
        shape = (TRIALS, self.image_size, self.image_size, self.channels)
        noise_NHWC = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        for i in range(len(self.steps)):
            for trial, image_HWC in enumerate(noise_NHWC):
                self._reseed(0, 0, trial)
                self._apply(i, image_HWC.copy(), force_apply=True)
        self.batch(noise_NHWC, 0, 0, 0)

    def _draw(self, count: int, seed: int, epoch: int, position: int) -> list[list[Function]]:
        """What is to be done to each image, in order."""
        todo_B: list[list[Function]] = [[] for _ in range(count)]
        u_BD = uniforms(seed, epoch, position + np.arange(count), self._draws)
        for number, entries in enumerate(self._known):
            if entries is None:
                others = self._by_transform(number)
                for todo in todo_B:
                    todo.append(others)
                continue
            for entry in entries:
                drawn = entry.draw(u_BD)
                function = opencv.function(entry.step, drawn)
                for i in np.flatnonzero(drawn["fired"]):
                    todo_B[i].append(function)
        return todo_B

    def _by_transform(self, number: int) -> Function:
        return lambda image_HWC, i: self._apply(number, image_HWC)

    def _reseed(self, seed: int, epoch: int, position: int) -> None:
        # Philox is counter-based: a key and the high word of the counter select a stream of
        # 2**192 draws, for 1 us; a SeedSequence for each image would cost 10 us.
        self._state["state"]["key"][:] = seed, epoch
        self._state["state"]["counter"][:] = 0, 0, 0, position
        self._bits.state = self._state
        self._python.seed(self._bits.random_raw())

    def _apply(self, i: int, image_HWC: np.ndarray, **options: Any) -> np.ndarray:
        try:
            new_HWC = self.transforms[i](image=image_HWC, **options)["image"]
        except Exception as error:  # whatever a transform of somebody else's raises
            shape = "x".join(map(str, image_HWC.shape))
            raise UserError(
                f"{place_of(i, self.steps[i])}: cannot be applied to an image of {shape}: "
                f"{one_line(error)}"
            ) from error
        if new_HWC.shape != image_HWC.shape or new_HWC.dtype != np.uint8:
            raise UserError(_changed(place_of(i, self.steps[i]), image_HWC, new_HWC))
        return new_HWC


def build_augment(
    steps: Sequence[AugmentStep], image_size: int, channels: int = 3
) -> Augment | None:
    """The pipeline of a recipe's `augment:` list, tried out; None for an empty list.

    image_size, channels: of the images it will get. Raises UserError naming the step: an unknown
    transform, an argument that its signature lacks, a bad value, a transform that changes an
    image's size or type or cannot take it.
    """
    if not steps:
        return None
    augment = Augment(steps, image_size, channels)
    augment.try_out()
    return augment


def _changed(place: str, old_HWC: np.ndarray, new_HWC: np.ndarray) -> str:
    if new_HWC.dtype != np.uint8:
        return (
            f"{place}: makes {new_HWC.dtype} of uint8; leave it out: images are normalised with "
            "data.mean and data.std on the device"
        )
    old, new = ("x".join(map(str, image.shape)) for image in (old_HWC, new_HWC))
    return (
        f"{place}: makes {new} of {old}; a step must keep the size: give it the image size, or "
        "wrap it with the step that restores the size in {kind: Sequential, p: 1, transforms: []}"
    )
