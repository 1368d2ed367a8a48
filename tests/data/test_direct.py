"""The direct functions against albumentations' own transforms: the same pixels, and the same random
numbers left over, for every argument that they claim to honour."""

import cv2
import numpy as np
import pytest

from starter.data.augment import Augment
from starter.data.direct import DIRECT, direct
from starter.recipe.schema.data import AugmentStep

COUNT = 400
RANGES = {"rotate": [-20, 20], "shear": [-8, 8], "scale": [0.8, 1.2]}
AFFINE = {
    "nothing": {},
    "rotate": {"rotate": [-180, 180]},
    "all": RANGES | {"translate_percent": [-0.2, 0.2]},
    "each axis": {"scale": {"x": [0.5, 1.0], "y": [1.0, 2.0]}, "shear": {"x": [-9, 9], "y": [0, 0]},
                  "translate_percent": {"x": [-0.3, 0.3], "y": [0, 0.1]}},
    "ratio": RANGES | {"keep_ratio": True},
    "pixels": RANGES | {"translate_px": [-7, 7]},
    "one number": {"rotate": 15, "scale": 1.1, "translate_px": 3, "shear": 5},
    "nearly nothing": {"rotate": [-0.001, 0.001]},
    "cubic": RANGES | {"interpolation": cv2.INTER_CUBIC},
}  # fmt: skip
BORDERS = {f"border {mode}": RANGES | {"border_mode": mode} for mode in (0, 1, 2, 4)}
FILLS = {f"fill {fill}": RANGES | {"fill": fill} for fill in (255, 7.0)}
JITTER = {
    "default": {},
    "strong": {"brightness": [0, 3], "contrast": [0, 3], "saturation": [0, 3], "hue": [-0.5, 0.5]},
    "nothing": {"brightness": [1, 1], "contrast": [1, 1], "saturation": [1, 1], "hue": [0, 0]},
    "to zero": {"brightness": [1, 1], "contrast": [0, 0], "saturation": [0, 0], "hue": [0.1, 0.1]},
    "black": {"brightness": [0, 0]},
}
HOLES = {
    "default": {},
    "many": {"num_holes_range": [1, 6]},
    "uniform": {"num_holes_range": [1, 3], "fill": "random_uniform"},
    "large": {"hole_height_range": [0.5, 0.99], "hole_width_range": [0.0, 0.99]},
    "pixels": {"hole_height_range": [1, 9], "hole_width_range": [3, 40], "fill": 128},
}
CASES = [
    *(("Affine", name, more) for name, more in (AFFINE | BORDERS | FILLS).items()),
    *(("ColorJitter", name, more) for name, more in JITTER.items()),
    *(("CoarseDropout", name, more) for name, more in HOLES.items()),
    ("HorizontalFlip", "plain", {}),
    ("VerticalFlip", "plain", {}),
    ("ToGray", "plain", {}),
]


def pipelines(*described: dict, channels: int = 3) -> tuple[Augment, Augment]:
    """The kit's, and one of albumentations alone."""
    steps = [AugmentStep.model_validate(d) for d in described]
    return Augment(steps, 24, channels), Augment(steps, 24, channels, shortcuts=False)


def images(size: int, channels: int) -> np.ndarray:
    """Noise, a smooth picture, and a flat one."""
    noise_HWC = np.random.default_rng(0).integers(0, 256, (size, size, channels), dtype=np.uint8)
    smooth_HWC = cv2.GaussianBlur(noise_HWC, (9, 9), 3).reshape(noise_HWC.shape)
    return np.stack([noise_HWC, smooth_HWC, np.full_like(noise_HWC, 77)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("p", [1.0, 0.4])
@pytest.mark.parametrize(("kind", "name", "more"), CASES, ids=[f"{k}-{n}" for k, n, _ in CASES])
def test_pixels_and_random_numbers_are_albumentations(kind, name, more, p, channels):
    if kind == "ToGray" and channels == 1:
        pytest.skip("albumentations only warns that the image is grey")
    described = {"kind": kind, "p": p} | more
    own, theirs = pipelines(described, {"kind": "GaussNoise", "p": 1}, channels=channels)
    assert own._direct[0] is not None
    for position in range(COUNT):
        image_HWC = images(24, channels)[position % 3]
        seed = (3, 1, position)
        a, b = own(image_HWC.copy(), seed), theirs(image_HWC.copy(), seed)
        np.testing.assert_array_equal(a, b, f"image {position}")  # the noise tells what was drawn


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_p_is_drawn_as_albumentations_draws_it(p):
    flips = [{"kind": "HorizontalFlip", "p": p}, {"kind": "VerticalFlip", "p": 0.5}]
    own, theirs = pipelines(*flips)
    image_HWC = images(24, 3)[0]
    for position in range(100):
        a, b = (pipeline(image_HWC.copy(), (1, 1, position)) for pipeline in (own, theirs))
        np.testing.assert_array_equal(a, b)


def test_a_whole_recipe_is_the_same():
    from starter.recipe import load

    steps = load("configs/faces64.yaml", []).augment
    own, theirs = Augment(steps, 64), Augment(steps, 64, shortcuts=False)
    assert all(own._direct) and not any(theirs._direct)
    for position in range(1000):
        image_HWC = images(64, 3)[position % 2]
        seed = (0, 5, position)
        np.testing.assert_array_equal(own(image_HWC.copy(), seed), theirs(image_HWC.copy(), seed))


@pytest.mark.parametrize(
    "described",
    [
        {"kind": "Affine", "fit_output": True},
        {"kind": "Affine", "balanced_scale": True},
        {"kind": "ToGray", "method": "average"},
        {"kind": "CoarseDropout", "fill": "inpaint_ns"},
        {"kind": "ShiftScaleRotate"},  # inherits from Affine, and draws otherwise
        {"kind": "Sequential", "transforms": [{"kind": "HorizontalFlip"}]},
    ],
    ids=lambda d: "-".join(map(str, d.values()))[:30],
)
def test_what_is_not_known_is_left_to_albumentations(described):
    own, _ = pipelines(described)
    assert own._direct == [None]


def test_every_name_is_one_of_albumentations():
    import albumentations

    for path in DIRECT:
        name = path.rsplit(".", 1)[1]
        kind = getattr(albumentations, name)
        assert f"{kind.__module__}.{kind.__name__}" == path
        assert direct(kind(), 3) is not None
