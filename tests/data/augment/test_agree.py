"""With albumentations' parameters the kit's steps make its pixels.

Stated tolerances, in levels of 255: pixel operations differ by the last rounding; the hue by the
8-bit HSV table.
"""

import cv2
import numpy as np
import pytest
from albumentations.augmentations.geometric import functional as geometric

from starter.recipe.schema.base import Size, sides
from tests.data.augment.agree import as_drawn, by_albumentations, by_kit, kit_step, picture

COUNT = 30
SIZES = [40, (40, 24), (24, 40)]
JITTER = {"brightness": [1, 1], "contrast": [1, 1], "saturation": [1, 1], "hue": [0, 0]}


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.abs(a.astype(int) - b.astype(int))


def compared(described: dict, convert, size: Size = 40, channels: int = 3) -> np.ndarray:
    """How far albumentations' images and the kit's are apart."""
    described = described | {"p": 1}
    wanted, drawn = by_albumentations(described, size, channels, COUNT)
    step = kit_step(described, size, channels)
    return difference(wanted, by_kit(step, as_drawn(drawn, convert), COUNT))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("changes", "most", "mean"),
    [
        ({"brightness": [0.5, 1.5]}, 1, 0.05),
        ({"contrast": [0.5, 1.5]}, 1, 0.05),
        ({"saturation": [0.5, 1.5]}, 1, 0.05),
        ({"hue": [-0.5, 0.5]}, 12, 0.4),  # 0.05 with opencv 4.14; 4.9 rounds otherwise
        ({key: [0.6, 1.4] for key in JITTER} | {"hue": [-0.1, 0.1]}, 20, 0.4),
    ],
    ids=["brightness", "contrast", "saturation", "hue", "all"],
)
def test_colour_jitter(changes, most, mean, channels):
    names = ("brightness", "contrast", "saturation", "hue", "order")
    apart = compared(
        {"kind": "ColorJitter"} | JITTER | changes,
        lambda p: {n: p[n] for n in names},
        channels=channels,
    )
    assert apart.max() <= most and apart.mean() < mean
    assert np.percentile(apart, 99) <= (1 if mean < 0.1 else 2)


@pytest.mark.parametrize("by_max", [True, False])
def test_brightness_contrast(by_max):
    means = iter([picture(40, 3, i).mean() for i in range(COUNT)])

    def convert(params):
        return {"alpha": params["alpha"], "beta": params["beta"] / (255 if by_max else next(means))}

    described = {"kind": "RandomBrightnessContrast", "brightness_by_max": by_max}
    assert compared(described, convert).max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kind", "most"), [("ToGray", 1), ("HorizontalFlip", 0), ("VerticalFlip", 0)]
)
def test_steps_with_nothing_to_draw(kind, most, size):
    assert compared({"kind": kind}, lambda params: {}, size).max() <= most


@pytest.mark.parametrize("limit", [[0, 0], [3, 7]])
@pytest.mark.parametrize("size", [16, 40, (40, 16)])
def test_gaussian_blur(limit, size):
    def convert(params):  # the kernel says which sigma it is of
        kernel = params["kernel"]
        middle = len(kernel) // 2
        sigma = np.sqrt(-0.5 / np.log(kernel[middle + 1] / kernel[middle]))
        return {"sigma": sigma, "radius": middle}

    described = {"kind": "GaussianBlur", "blur_limit": limit, "sigma_limit": [0.5, 3]}
    assert compared(described, convert, size).max() <= 1


def hole(params: dict) -> dict:
    left, top, right, bottom = params["holes"].T
    colour = np.array([[9.0, 200.0, 30.0]] * len(left))
    sides = {"height": bottom - top, "width": right - left}
    return {"top": top, "left": left, "colour": colour, **sides}


@pytest.mark.parametrize(
    "described",
    [
        {"kind": "CoarseDropout", "num_holes_range": [3, 3]},
        {
            "kind": "CoarseDropout",
            "num_holes_range": [1, 1],
            "hole_height_range": [4, 9],
            "hole_width_range": [2, 30],
        },
        {"kind": "Erasing"},
    ],
    ids=["holes", "in pixels", "erasing"],
)
@pytest.mark.parametrize("size", SIZES)
def test_holes_are_exact(described, size):
    assert compared(described | {"fill": [9, 200, 30]}, hole, size).max() == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "described",
    [
        {"kind": "CoarseDropout", "hole_height_range": [0.1, 0.9], "hole_width_range": [0.1, 0.9]},
        {"kind": "CoarseDropout", "hole_height_range": [20, 90], "hole_width_range": [1, 90]},
        {"kind": "Erasing", "scale": [0.1, 0.9], "ratio": [0.7, 1.4]},
    ],
)
def test_holes_lie_inside(described, size):
    drawn = drawn_by(kit_step(described | {"p": 1}, size), 500)
    high, wide = sides(size)
    assert (drawn["top"] >= 0).all() and (drawn["left"] >= 0).all()
    assert (drawn["top"] + drawn["height"]).max() <= high
    assert (drawn["left"] + drawn["width"]).max() <= wide
    assert drawn["height"].max() > 0.4 * high and drawn["width"].max() > 0.4 * wide


BORDERS = [(0, 0), (0, [10, 200, 90]), (1, 0), (2, 0), (4, 0)]


@pytest.mark.parametrize(("mode", "fill"), BORDERS)
@pytest.mark.parametrize("kind", ["Affine", "Perspective"])
@pytest.mark.parametrize("size", [48, (48, 30)])
def test_maps_sample_the_same_pixels(kind, mode, fill, size, monkeypatch):
    high, wide = sides(size)
    own = {"scale": [0.05, 0.15]}
    if kind == "Affine":
        own = {"rotate": [-30, 30], "scale": [0.7, 1.3], "shear": [-12, 12]}
        own["translate_percent"] = [-0.2, 0.2]
    described = {"kind": kind, "border_mode": mode, "fill": fill, "p": 1} | own
    wanted, drawn = by_albumentations(described, size, 3, COUNT)
    inverses = []
    for p in drawn:
        forward = p["matrix"]
        if kind == "Perspective":
            forward = np.diag([wide / p["max_width"], high / p["max_height"], 1]) @ forward
        inverses.append(np.linalg.inv(forward))
    step = kit_step(described, size)
    monkeypatch.setattr(type(step), "inverse", lambda *_: np.stack(inverses))
    apart = difference(wanted, by_kit(step, {}, COUNT))
    # With a constant border a few pixels at the image's own edge are weighted otherwise.
    assert apart.max() <= (6 if mode == 0 else 2) and apart.mean() < 0.25
    assert (apart > 1).mean() < 0.02


def drawn_by(step, count: int = 50) -> dict:
    return step.draw(np.random.default_rng(3).random((count, step.draws)))


@pytest.mark.parametrize("size", SIZES)
def test_the_affine_map_is_albumentations_own(size):
    described = {
        "kind": "Affine",
        "rotate": [-170, 170],
        "scale": {"x": [0.5, 2], "y": [0.8, 1]},
        "shear": {"x": [-20, 20], "y": [-5, 9]},
        "translate_px": {"x": [-5, 9], "y": [3, 4]},
    }
    step = kit_step(described, size)
    drawn = drawn_by(step)
    inverse_B33 = step.inverse(drawn)
    for i in range(50):
        forward = geometric.create_affine_transformation_matrix(
            {axis: drawn[f"shift_{axis}"][i] for axis in "xy"},
            {axis: -drawn[f"shear_{axis}"][i] for axis in "xy"},
            {axis: drawn[f"scale_{axis}"][i] for axis in "xy"},
            drawn["rotate"][i],
            geometric.center(sides(size)),
        )
        np.testing.assert_allclose(inverse_B33[i] @ forward, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_the_perspective_map_is_albumentations_own(size):
    high, wide = sides(size)
    step = kit_step({"kind": "Perspective", "scale": [0.02, 0.2]}, size)
    drawn = drawn_by(step)
    inverse_B33 = step.inverse(drawn)
    for i in range(50):
        point = geometric.order_points(drawn["point"][i])
        forward, width, height = geometric.compute_perspective_params(point, (high, wide))
        forward = np.diag([wide / width, high / height, 1]) @ forward
        corner = np.array(
            [[[0, 0], [0, high - 1], [wide - 1, 0], [wide - 1, high - 1], [20, 13]]], np.float64
        )
        moved = cv2.perspectiveTransform(corner, inverse_B33[i])
        np.testing.assert_allclose(cv2.perspectiveTransform(moved, forward), corner, atol=1e-3)


@pytest.mark.parametrize("mode", [0, 1, 2, 4])
@pytest.mark.parametrize("size", [24, (24, 18)])
def test_pad_and_crop_is_a_slice_of_the_padded_image(mode, size):
    (high, wide), padding = sides(size), [3, 5, 2, 0]  # left, top, right, bottom
    inside = [
        {"kind": "Pad", "padding": padding, "border_mode": mode, "fill": 77},
        {"kind": "RandomCrop", "height": high, "width": wide},
    ]
    inside = [child | {"p": 1} for child in inside]
    step = kit_step({"kind": "Sequential", "p": 1, "transforms": inside}, size)
    drawn = drawn_by(step, COUNT)
    images = by_kit(step, drawn, COUNT)
    x_B, y_B = drawn["shift_x"].astype(int), drawn["shift_y"].astype(int)
    for i, (x, y) in enumerate(zip(x_B, y_B, strict=True)):
        padded = cv2.copyMakeBorder(picture(size, 3, i), 5, 0, 3, 2, mode, value=(77,) * 3)
        np.testing.assert_array_equal(images[i], padded[5 - y : 5 - y + high, 3 - x : 3 - x + wide])
    assert set(x_B) == set(range(-2, 4)) and set(y_B) == set(range(6))
