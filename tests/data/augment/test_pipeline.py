"""What varies an image: seeded, independent, the same in whatever batch it is."""

import pickle

import numpy as np
import pytest

from starter.data.augment import Augment, build_augment
from starter.data.augment.pipeline import OURS
from starter.errors import UserError
from tests.data.augment.agree import albumentations_alone, picture, steps, written


def step(kind: str, **arguments) -> dict:
    return {"kind": kind, **arguments}


# A wide choice: both generators, numpy streams of their own (dropout, noise), opencv's generator.
NAMES = (
    "AdditiveNoise CLAHE CoarseDropout ColorJitter Defocus Downscale ElasticTransform "
    "Emboss Equalize GaussNoise GaussianBlur GlassBlur GridDistortion GridDropout Illumination "
    "ImageCompression InvertImg MotionBlur MultiplicativeNoise OpticalDistortion Perspective "
    "PixelDropout PlasmaBrightnessContrast PlasmaShadow Posterize RandomBrightnessContrast "
    "RandomGamma RandomGridShuffle RandomRotate90 RandomShadow RandomToneCurve Rotate "
    "SafeRotate SaltAndPepper Sharpen ShotNoise Solarize SquareSymmetry ThinPlateSpline XYMasking "
    "MedianBlur"
)
WIDE = NAMES.split()
ARGUMENTS = {"XYMasking": {"num_masks_x": 1, "mask_x_length": 4}}


def test_no_steps_is_none():
    assert build_augment([], 24) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_wide_choice_repeats_for_the_same_seed(channels):
    described = steps(*(step(k, p=0.3, **ARGUMENTS.get(k, {})) for k in WIDE))
    first = build_augment(described, 24, channels)
    second = build_augment(described, 24, channels)
    original = picture(24, channels)
    second(original.copy(), (9, 9, 9))  # a different history
    different = 0
    for position in range(15):
        a = first(original.copy(), (1, 2, position))
        b = second(original.copy(), (1, 2, position))
        np.testing.assert_array_equal(a, b)
        different += not np.array_equal(a, original)
    assert different >= 14


def test_seed_epoch_and_position_each_matter():
    augment = build_augment(steps(step("GaussNoise", p=1)), 24)
    seeds = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1), (2**63, 0, 0)]
    made = {augment(picture(24), seed).tobytes() for seed in seeds}
    assert len(made) == len(seeds)


def fired(augment, count: int) -> np.ndarray:
    """Which of the horizontal and vertical flip happened, (count, 2) bool."""
    original = picture(24)
    marks = [original, original[:, ::-1], original[::-1], original[::-1, ::-1]]
    flips = []
    for position in range(count):
        out = augment(original.copy(), (7, 3, position))
        (which,) = [i for i, mark in enumerate(marks) if np.array_equal(out, mark)]
        flips.append((which % 2, which // 2))
    return np.array(flips, bool)


@pytest.mark.parametrize(
    "described",
    [
        "[{kind: HorizontalFlip, p: 0.5}, {kind: VerticalFlip, p: 0.5}]",
        "[{kind: Sequential, p: 1, transforms: [{kind: HorizontalFlip}]},"
        " {kind: Sequential, p: 1, transforms: [{kind: VerticalFlip}]}]",
        "[{kind: OneOf, p: 0.5, transforms: [{kind: HorizontalFlip}]}, {kind: VerticalFlip}]",
        "[{kind: OneOf, p: 0.5, transforms: [{kind: HorizontalFlip}]},"
        " {kind: OneOf, p: 0.5, transforms: [{kind: VerticalFlip}]}]",
    ],
    ids=["plain", "nested", "mixed", "albumentations"],
)
def test_two_flips_fire_independently(described):
    count = 2000
    flips = fired(build_augment(steps(*written(described)), 24), count)
    horizontal, vertical = flips.T
    # 5 sigma of a binomial; with albumentations' own seeding both would always be equal
    for event, expected in (
        (horizontal, 0.5),
        (vertical, 0.5),
        (horizontal & vertical, 0.25),
        (horizontal ^ vertical, 0.5),
    ):
        assert abs(event.mean() - expected) < 5 * np.sqrt(0.25 / count)
    assert abs(np.corrcoef(flips.T)[0, 1]) < 5 / np.sqrt(count)
    # and from one image to the next
    assert abs(np.corrcoef(flips[1:, 0], flips[:-1, 0])[0, 1]) < 5 / np.sqrt(count)


def test_every_transform_shares_the_generators_that_are_reseeded():
    inner = step("Sequential", transforms=[step("HorizontalFlip"), step("GaussNoise")])
    augment = build_augment(
        steps(step("OneOf", transforms=[inner, step("Affine")]), step("CoarseDropout")), 24
    )
    generators, todo = set(), list(augment.transforms)
    count = 0
    while todo:
        transform = todo.pop()
        generators.add((id(transform.random_generator), id(transform.py_random)))
        todo += getattr(transform, "transforms", [])
        count += 1
    assert count == 6 and len(generators) == 1


def test_one_image_is_left_as_it_was():
    augment, given = build_augment(steps(step("CoarseDropout", p=1)), 24), picture(24)
    assert (augment(given, (0, 0, 0)) != picture(24)).any()
    np.testing.assert_array_equal(given, picture(24))


def test_lists_become_ranges():
    augment = build_augment(steps(step("Affine", scale={"x": [0.9, 1.1], "y": [1, 1]}, p=1)), 24)
    assert augment.transforms[0].scale["x"] == (0.9, 1.1)


def test_grey_images_are_refused_by_a_colour_transform_before_training():
    with pytest.raises(UserError, match=r"augment\.0 \(ISONoise\).*24x24x1"):
        build_augment(steps(step("ISONoise")), 24, channels=1)


# ---- the kit's own steps among others

COUNT = 40


def pictures(channels: int = 3) -> np.ndarray:
    return np.stack([picture(32, channels, i) for i in range(COUNT)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", OURS)
def test_the_kit_draws_what_it_knows_and_p_holds(kind, channels):
    augment = Augment(steps({"kind": kind, "p": 0.5}), 32, channels)
    assert augment.entries != [None]
    image_BHWC = pictures(channels)
    augment.batch(image_BHWC, 3, 1, 5)
    changed_B = (image_BHWC != pictures(channels)).any((1, 2, 3))
    nothing = kind == "Affine" or (kind == "ToGray" and channels == 1)
    assert nothing or 0.15 < changed_B.mean() < 0.85


MIXED = written(
    """[{kind: HorizontalFlip, p: 0.5}, {kind: GaussNoise, p: 0.5}, {kind: Affine, p: 0.9,
    rotate: [-30, 30], scale: [0.7, 1.3], shear: [-9, 9], translate_percent: 0.1},
    {kind: tv/RandomInvert, p: 0.3}, {kind: GaussianBlur, p: 0.5}, {kind: CoarseDropout, p: 0.5}]"""
)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_depends_on_seed_epoch_and_position_not_on_its_batch(channels):
    augment = Augment(steps(*MIXED), 32, channels)
    copy = pickle.loads(pickle.dumps(augment))
    whole = pictures(channels)
    augment.batch(whole, 1, 2, 0)
    parts = pictures(channels)
    for start, end in ((30, COUNT), (0, 7), (7, 30)):
        augment.batch(parts[start:end], 1, 2, start)
    np.testing.assert_array_equal(whole, parts)
    for one in (augment, copy):
        np.testing.assert_array_equal(one(picture(32, channels, 9), (1, 2, 9)), whole[9])
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
    albumentations_alone(around[1], size=32).batch(noisy, 1, 0, 0)
    np.testing.assert_array_equal(made, noisy[:, ::-1])


@pytest.mark.parametrize(
    "described",
    [
        {"kind": "Affine", "interpolation": 2, "rotate": [-30, 30], "shear": [-9, 9]},
        {"kind": "ToGray", "method": "average"},
        {"kind": "CoarseDropout", "fill": "inpaint_ns"},
        {"kind": "ShiftScaleRotate"},  # inherits from Affine, and draws otherwise
        {"kind": "Sequential", "transforms": [{"kind": "HorizontalFlip"}, {"kind": "Blur"}]},
        # The kit's own, where a tie in float32 would go to the even number, one level below.
        step("RandomBrightnessContrast", brightness_limit=[100 / 255] * 2, contrast_limit=[0, 0]),
    ],
    ids=lambda d: "-".join(map(str, d.values()))[:30],
)
def test_these_are_albumentations_images(described):
    described |= {"p": 1}
    ours, theirs = pictures(3), pictures(3)
    Augment(steps(described), 32, 3).batch(ours, 1, 0, 0)
    albumentations_alone(described, size=32).batch(theirs, 1, 0, 0)
    np.testing.assert_array_equal(ours, theirs)
