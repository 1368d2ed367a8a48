"""What the kit's own steps have in common, and the random numbers that they draw from.

A step takes the arguments of the albumentations class of its name, from that class's object, which
has checked and completed them. Random numbers are a function of (seed, epoch, position):
Philox4x32-10 for a batch at once (J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC
2011). A generator object for each image would cost 10 us; this costs about 1 us for 40 numbers.

Shapes: B images, D uniform numbers for each, H W pixels, C channels (1 or 3), uint8.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from starter.recipe.schema.base import Size, sides

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

Drawn = dict[str, np.ndarray]  # what is done to each image of a batch: arrays of B rows
# Varies image number i of the batch. May overwrite the image; may drop the axis of one channel.
Function = Callable[[np.ndarray, int], np.ndarray]


class NotOurs(Exception):
    """A step with an argument that is left to albumentations itself."""


class Step:
    """One step: `draw` for a whole batch, then its function for each image.

    t: the albumentations object. size (pixels a side, or height and width), channels: of the
    images. Raises NotOurs.
    """

    draws = 0  # uniform numbers for each image
    # The values of arguments that it does; it does every value of an argument not named here.
    only: ClassVar[dict[str, Any]] = {}

    def __init__(self, t: Any, size: Size, channels: int):
        require(t, **self.only)
        self.t, self.channels = t, channels
        self.high, self.wide = sides(size)

    def draw(self, u_BD: np.ndarray) -> Drawn:
        """What is done to each image, from `draws` uniform numbers in (0, 1)."""
        return {}

    def function(self, drawn: Drawn) -> Function:
        """What does it, by opencv."""
        raise NotImplementedError


def require(t: Any, **wanted: Any) -> None:
    """Raises NotOurs where an argument has another value than the one wanted."""
    if any(getattr(t, name) != value for name, value in wanted.items()):
        raise NotOurs


def per_channel(fill: Any, channels: int) -> tuple[float, ...]:
    """A fill value for each channel, cut off as opencv does."""
    values = tuple(fill) if isinstance(fill, list | tuple) else (fill,) * channels
    if len(values) != channels:
        raise NotOurs
    return tuple(min(max(float(value), 0.0), 255.0) for value in values)


def between(u_B: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """Uniform numbers of (0, 1) moved to the limits."""
    return limits[0] + (limits[1] - limits[0]) * u_B


def whole(u_B: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Whole numbers, float64, low and high included."""
    return np.floor(u_B * (high - low + 1)) + low


def philox(key: tuple[int, int], counter: tuple) -> list[np.ndarray]:
    """Four arrays of 32 random bits, uint64, for a key and four counters that broadcast."""
    c0, c1, c2, c3 = (np.asarray(part, np.uint64) for part in counter)
    for i in range(ROUNDS):
        k0, k1 = (np.uint64((k + i * s) & 0xFFFFFFFF) for k, s in zip(key, KEY_STEPS, strict=True))
        first, second = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1 = (second >> HALF) ^ c1 ^ k0, second & LOW
        c2, c3 = (first >> HALF) ^ c3 ^ k1, first & LOW
    return [c0, c1, c2, c3]


def uniforms(seed: int, epoch: int, position_B: np.ndarray, count: int) -> np.ndarray:
    """u_BD float64 in (0, 1), D = count: the same for an image whatever batch it is in.

    seed: in [0, 2**64). epoch, position_B: in [0, 2**32).
    """
    blocks = -(-count // 4)
    counter = (np.arange(blocks)[None], position_B[:, None], epoch, 0)
    bits = philox((seed & 0xFFFFFFFF, seed >> 32), counter)
    together = np.stack([np.broadcast_to(part, (len(position_B), blocks)) for part in bits], 2)
    return (together.reshape(len(position_B), -1)[:, :count] + 0.5) / 2.0**32
