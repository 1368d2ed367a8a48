"""The images of a batch are what they were when these digests were recorded.

Whoever changes what is drawn changes every training set's images: then the digests are recorded
anew (`python -m tests.data.augment.test_recorded`) and the commit says so.
"""

import hashlib
import json
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
import yaml

from starter.data.augment.pipeline import build_augment
from starter.data.batches import TrainBatches
from starter.recipe import load
from starter.recipe.schema.data import AugmentStep, PKSampler, ShuffleSampler

RECORDED = Path(__file__).with_name("recorded.json")
VERSIONS = {"opencv": cv2.__version__, "albumentations": albumentations.__version__}
SIZE, COUNT = 24, 12
KINDS: dict[str, list[dict]] = yaml.safe_load(
    """
flips: [{kind: HorizontalFlip}, {kind: VerticalFlip, p: 0.3}]
affine: [{kind: Affine, border_mode: 2, rotate: [-30, 30], scale: [0.7, 1.3], shear: [-9, 9],
  translate_percent: 0.1}]
affine in pixels: [{kind: Affine, translate_px: [-3, 5], keep_ratio: true, scale: [0.5, 2], p: 1}]
perspective: [{kind: Perspective, border_mode: 1, p: 0.8}]
pad and crop: [{kind: Sequential, transforms: [
  {kind: PadIfNeeded, min_height: 29, min_width: 32, border_mode: 4},
  {kind: RandomCrop, height: 24, width: 24}]}]
jitter: [{kind: ColorJitter, hue: [-0.1, 0.1], p: 0.9}]
brightness: [{kind: RandomBrightnessContrast, brightness_by_max: false}]
grey: [{kind: ToGray}]
blur: [{kind: GaussianBlur, sigma_limit: [0.5, 2]}]
holes: [{kind: CoarseDropout, num_holes_range: [1, 4], fill: random_uniform}]
erasing: [{kind: Erasing, fill: 7}]
nested: [{kind: Sequential, p: 0.7, transforms: [{kind: ToGray}, {kind: Affine, rotate: [-30, 30],
  scale: [0.7, 1.3], shear: [-9, 9], translate_percent: 0.1}]}]
with others: [{kind: HorizontalFlip, p: 0.5}, {kind: GaussNoise, p: 0.5},
  {kind: OneOf, transforms: [{kind: Affine, p: 1}, {kind: Blur, p: 1}]},
  {kind: tv/RandomInvert, p: 0.3}, {kind: CoarseDropout, p: 0.5}]
"""
)
RECIPES = ("faces64", "hw2p2", "demo", "cifar10", "omniglot", "orl")
CASES = [
    *((name, channels) for name in KINDS for channels in (1, 3)),
    *((name, 0) for name in RECIPES),
    ("batches shuffle", 3),
    ("batches pk", 3),
]


def noise(size: int, channels: int, count: int = COUNT) -> np.ndarray:
    shape = (count, size, size, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def made(name: str, channels: int) -> np.ndarray:
    """The images of a case, uint8."""
    if name.startswith("batches"):
        return batches(name)
    if name in KINDS:
        steps, size = [AugmentStep.model_validate(step) for step in KINDS[name]], SIZE
    else:
        (path,) = Path("configs").rglob(f"{name}.yaml")
        recipe = load(path, ["data.root=x"])
        steps, size, channels = recipe.augment, recipe.data.image_size, recipe.data.channels
    image_BHWC = noise(size, channels)
    build_augment(steps, size, channels).batch(image_BHWC, 2**40 + 3, 5, 17)
    return image_BHWC


def batches(name: str) -> np.ndarray:
    sampler = PKSampler(kind="pk", images=2) if name.endswith("pk") else ShuffleSampler()
    steps = [AugmentStep.model_validate(step) for step in KINDS["with others"]]
    batches = TrainBatches(
        noise(SIZE, 3, 40),
        np.arange(40) % 8,
        np.arange(2, 38),
        batch_size=8,
        sampler=sampler,
        augment=build_augment(steps, SIZE),
        seed=11,
        workers=0,
        pin_memory=False,
    )
    return np.concatenate([b.image_BHWC.numpy() for b in batches.epoch(3, 1)])


def digest(image_BHWC: np.ndarray) -> str:
    return hashlib.sha256(image_BHWC.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "channels"), CASES)
def test_the_images_are_those_that_were_recorded(name, channels):
    recorded = json.loads(RECORDED.read_text())
    if recorded["versions"] != VERSIONS:
        pytest.skip("other versions of opencv or albumentations round otherwise")
    assert digest(made(name, channels)) == recorded["digests"][f"{name}, {channels}"]


if __name__ == "__main__":
    digests = {f"{name}, {channels}": digest(made(name, channels)) for name, channels in CASES}
    RECORDED.write_text(json.dumps({"versions": VERSIONS, "digests": digests}, indent=1) + "\n")
