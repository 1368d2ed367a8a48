"""On the CPU the kit's own steps make what they make on the device, alone and among others'."""

import numpy as np
import pytest
import torch

from starter.data.augment.opencv import FUNCTIONS
from starter.data.augment.pipeline import Augment
from starter.data.augment.plan import KINDS, plan
from starter.recipe import load
from tests.data.augment.agree import picture, steps

COUNT = 40
CROP = [
    {"kind": "PadIfNeeded", "min_height": 40, "min_width": 36, "border_mode": 4},
    {"kind": "RandomCrop", "height": 32, "width": 32},
]
MAP = {"rotate": [-30, 30], "scale": [0.7, 1.3], "shear": [-9, 9], "translate_percent": 0.1}
EVERY = {
    "HorizontalFlip": ({}, 0),
    "VerticalFlip": ({}, 0),
    "Affine": (MAP | {"border_mode": 2}, 3),
    "Perspective": ({"border_mode": 1}, 3),
    "ColorJitter": ({"hue": [-0.1, 0.1]}, 20),
    "RandomBrightnessContrast": ({"brightness_by_max": False}, 1),
    "ToGray": ({}, 1),
    "GaussianBlur": ({"sigma_limit": [0.5, 2]}, 1),
    "CoarseDropout": ({"num_holes_range": [1, 4], "fill": "random_uniform"}, 0),
    "Erasing": ({"fill": 7}, 0),
    "Sequential": ({"transforms": CROP}, 0),
}


def pictures(channels: int) -> np.ndarray:
    return np.stack([picture(32, channels, i) for i in range(COUNT)])


def on_device(described: list[dict], channels: int) -> np.ndarray:
    device = plan(steps(*described), 32, channels)
    parcel = device.prepare(3, 1, 5 + np.arange(COUNT))
    return device.apply(torch.from_numpy(pictures(channels)), parcel).numpy()


def on_cpu(described: list[dict], channels: int) -> np.ndarray:
    image_BHWC = pictures(channels)
    Augment(steps(*described), 32, channels).batch(image_BHWC, 3, 1, 5)
    return image_BHWC


def test_every_step_of_the_kit_is_known_here():
    assert set(EVERY) == {*KINDS, "Sequential"} and len(FUNCTIONS) == len(KINDS)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("kind", EVERY)
def test_the_same_draws_give_the_device_s_image(kind, p, channels):
    """most: levels of 255 between the two's roundings, as test_agree.py says of each step."""
    more, most = EVERY[kind]
    described = [{"kind": kind, "p": p} | more]
    a, b = on_cpu(described, channels), on_device(described, channels)
    apart = np.abs(a.astype(int) - b)
    assert apart.max() <= most and apart.mean() < 0.4
    changed_B = (a != pictures(channels)).any((1, 2, 3))
    grey = kind == "ToGray" and channels == 1
    assert grey or changed_B.mean() > 0.8 * p - 0.25


@pytest.mark.parametrize("name", ["faces64", "hw2p2", "demo", "untested/cifar10", "omniglot"])
def test_a_recipe_varies_its_images_alike_on_both(name):
    recipe = load(f"configs/{name}.yaml", ["data.root=x"])
    size, channels = recipe.data.image_size, recipe.data.channels
    image_BHWC = np.stack([picture(size, channels, i) for i in range(COUNT)])
    device = plan(recipe.augment, size, channels)
    parcel = device.prepare(0, 2, np.arange(COUNT))
    wanted = device.apply(torch.from_numpy(image_BHWC), parcel).numpy()
    before = image_BHWC.copy()
    Augment(recipe.augment, size, channels).batch(image_BHWC, 0, 2, 0)
    assert (image_BHWC != before).any((1, 2, 3)).mean() > 0.5
    apart = np.abs(image_BHWC.astype(int) - wanted)  # the roundings of all steps together
    assert apart.mean() < 0.5 and (apart > 3).mean() < 0.01


MIXED = [
    {"kind": "HorizontalFlip", "p": 0.5},
    {"kind": "GaussNoise", "p": 0.5},
    {"kind": "Affine", "p": 0.9} | MAP,
    {"kind": "tv/RandomInvert", "p": 0.3},
    {"kind": "GaussianBlur", "p": 0.5},
    {"kind": "CoarseDropout", "p": 0.5},
]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_depends_on_seed_epoch_and_position_not_on_its_batch(channels):
    augment = Augment(steps(*MIXED), 32, channels)
    whole = pictures(channels)
    augment.batch(whole, 1, 2, 0)
    parts = pictures(channels)
    for start, end in ((30, COUNT), (0, 7), (7, 30)):
        augment.batch(parts[start:end], 1, 2, start)
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_array_equal(augment(picture(32, channels, 9), (1, 2, 9)), whole[9])
    other = pictures(channels)
    augment.batch(other, 1, 3, 0)
    assert (other != whole).any((1, 2, 3)).mean() > 0.8


def test_steps_of_others_between_them_are_theirs_and_in_their_place():
    """What GaussNoise adds is left when the kit's steps around it have nothing to do."""
    around = [
        {"kind": "VerticalFlip", "p": 0},
        {"kind": "GaussNoise", "p": 1},
        {"kind": "VerticalFlip", "p": 1},
    ]
    made, noisy = pictures(3), pictures(3)
    Augment(steps(*around), 32, 3).batch(made, 1, 0, 0)
    Augment(steps(around[1]), 32, 3, own=False).batch(noisy, 1, 0, 0)
    np.testing.assert_array_equal(made, noisy[:, ::-1])


@pytest.mark.parametrize(
    "described",
    [
        {"kind": "Affine", "interpolation": 2} | MAP,
        {"kind": "ToGray", "method": "average"},
        {"kind": "CoarseDropout", "fill": "inpaint_ns"},
        {"kind": "ShiftScaleRotate"},  # inherits from Affine, and draws otherwise
        {"kind": "Sequential", "transforms": [{"kind": "HorizontalFlip"}, {"kind": "Blur"}]},
    ],
    ids=lambda d: "-".join(map(str, d.values()))[:30],
)
def test_what_is_not_known_is_left_to_albumentations(described):
    described |= {"p": 1}
    ours, theirs = pictures(3), pictures(3)
    Augment(steps(described), 32, 3).batch(ours, 1, 0, 0)
    Augment(steps(described), 32, 3, own=False).batch(theirs, 1, 0, 0)
    np.testing.assert_array_equal(ours, theirs)


def test_whole_numbers_stay_themselves():
    """A tie in float32 would go to the even number, one level below."""
    described = {
        "kind": "RandomBrightnessContrast",
        "brightness_limit": [100 / 255, 100 / 255],
        "contrast_limit": [0, 0],
        "p": 1,
    }
    ours, theirs = pictures(3), pictures(3)
    Augment(steps(described), 32, 3).batch(ours, 1, 0, 0)
    Augment(steps(described), 32, 3, own=False).batch(theirs, 1, 0, 0)
    np.testing.assert_array_equal(ours, theirs)
