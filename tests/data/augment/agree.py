"""One recipe entry both ways: albumentations' own object, and the kit's step, with its numbers."""

import cv2
import numpy as np
import torch

from starter.data.augment.on_device import DeviceAugment
from starter.data.augment.opencv import function
from starter.data.augment.pipeline import Augment
from starter.data.augment.plan import plan
from starter.recipe.schema.data import AugmentStep


def steps(*described: dict) -> list[AugmentStep]:
    return [AugmentStep.model_validate(d) for d in described]


def picture(size: int = 48, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth coloured spots with a little grain, as photographs have: uint8 (S,S,C)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, channels), dtype=np.uint8)
    smooth = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 2, (size, size, channels))
    return np.clip(smooth.reshape(size, size, channels) + grain, 0, 255).astype(np.uint8)


def by_albumentations(described: dict, size: int, channels: int, count: int):
    """The image that the step makes of pictures 0, 1, ..., and the parameters it drew."""
    augment = Augment(steps(described), size, channels, own=False)
    made, drawn = [], []
    for i in range(count):
        made.append(augment(picture(size, channels, i), (1, 0, i)))
        drawn.append(dict(augment.transforms[0].params))
    return np.stack(made), drawn


def by_kit(
    how: str, described: dict, drawn: list[dict], size: int, channels: int, convert
) -> np.ndarray:
    """What the kit's step makes of the same pictures with albumentations' parameters.

    how: "device" or "opencv". convert: parameters of one image -> the step's, as numbers.
    """
    augment = plan(steps(described), size, channels)
    named = [convert(params) for params in drawn]
    what = {key: np.array([n[key] for n in named], float) for key in named[0]}
    if "order" in what:
        what["order"] = what["order"].astype(int)
    what["fired"] = np.ones(len(drawn), bool)
    return APPLY[how](augment, [[what]], len(drawn), size, channels)


def by_device(augment: DeviceAugment, drawn: list, count: int, size: int, channels: int):
    """The pictures, each layer's drawn numbers applied by torch."""
    images = torch.from_numpy(np.stack([picture(size, channels, i) for i in range(count)]))
    return augment.apply(images, augment.pack(drawn)).numpy()


def by_opencv(augment: DeviceAugment, drawn: list, count: int, size: int, channels: int):
    """The same by opencv, image by image."""
    functions = [
        (function(entry.step, what), what["fired"])
        for layer, own in zip(augment.layers, drawn, strict=True)
        for entry, what in zip(layer.entries, own, strict=True)
    ]
    made = []
    for i in range(count):
        image_HWC = picture(size, channels, i)
        for apply, fired_B in functions:
            if fired_B[i]:
                image_HWC = apply(image_HWC, i).reshape(size, size, channels)
        made.append(image_HWC)
    return np.stack(made)


APPLY = {"device": by_device, "opencv": by_opencv}
