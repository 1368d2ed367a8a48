"""One step both ways: albumentations' own object, and the kit's step with its numbers."""

from typing import Any

import cv2
import numpy as np
import yaml

from starter.data.augment import Augment
from starter.data.augment.step import Drawn, Step
from starter.recipe.schema.base import Size, sides
from starter.recipe.schema.data import AugmentStep


def written(text: str) -> Any:
    """A step, or a list of them, as a recipe has it."""
    return yaml.safe_load(text)


def steps(*described: dict) -> list[AugmentStep]:
    return [AugmentStep.model_validate(d) for d in described]


def picture(size: Size = 48, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth coloured spots with a little grain, as photographs have: uint8 (H,W,C)."""
    high, wide = sides(size)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, channels), dtype=np.uint8)
    smooth = cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 2, (high, wide, channels))
    return np.clip(smooth.reshape(high, wide, channels) + grain, 0, 255).astype(np.uint8)


def albumentations_alone(*described: dict, size: Size, channels: int = 3) -> Augment:
    """The pipeline with nothing drawn by the kit."""
    augment = Augment(steps(*described), size, channels)
    augment.entries = [None] * len(augment.steps)
    return augment


def kit_step(described: dict, size: Size, channels: int = 3) -> Step:
    """The kit's step of one entry."""
    (entries,) = Augment(steps(described), size, channels).entries
    (entry,) = entries
    return entry.step


def by_albumentations(described: dict, size: Size, channels: int, count: int):
    """The image that the step makes of pictures 0, 1, ..., and the parameters it drew."""
    augment = albumentations_alone(described, size=size, channels=channels)
    made, drawn = [], []
    for i in range(count):
        made.append(augment(picture(size, channels, i), (1, 0, i)))
        drawn.append(dict(augment.transforms[0].params))
    return np.stack(made), drawn


def by_kit(step: Step, drawn: Drawn, count: int) -> np.ndarray:
    """What the kit's step makes of the same pictures with these numbers."""
    function, size = step.function(drawn), (step.high, step.wide)
    shape = (*size, step.channels)
    return np.stack(
        [function(picture(size, step.channels, i), i).reshape(shape) for i in range(count)]
    )


def as_drawn(drawn: list[dict], convert) -> Drawn:
    """convert: albumentations' parameters of one image -> the kit's, as numbers."""
    named = [convert(params) for params in drawn]
    arrays = {key: np.array([n[key] for n in named], float) for key in named[0]}
    return arrays | {key: arrays[key].astype(int) for key in arrays if key == "order"}
