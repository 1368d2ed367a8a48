"""What the kit's own steps have in common. Each takes the arguments of the albumentations class of
its name, from that class's object, which has checked and completed them.

Shapes: B images, D uniform numbers for each, H W pixels, C channels (1 or 3), uint8.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

Drawn = dict[str, np.ndarray]  # what is done to each image of a batch: arrays of B rows
# Varies image number i of the batch. May overwrite the image; may drop the axis of one channel.
Function = Callable[[np.ndarray, int], np.ndarray]


class NotOurs(Exception):
    """A step with an argument that is left to albumentations itself."""


class Step:
    """One step on square images: `draw` for a whole batch, then its function for each image.

    t: the albumentations object. size, channels: of the images. Raises NotOurs.
    """

    draws = 0  # uniform numbers for each image
    only: ClassVar[
        Mapping[str, Any]
    ] = {}  # the values of arguments that it does; all, of those not named

    def __init__(self, t: Any, size: int, channels: int):
        require(t, **self.only)
        self.t, self.size, self.channels = t, size, channels

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
