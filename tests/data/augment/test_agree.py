"""With albumentations' parameters the kit's steps make its pixels: by torch, and by opencv.

Stated tolerances, in levels of 255: pixel operations differ by the last rounding; sampling by the
fixed-point weights of opencv; the hue by the 8-bit HSV table. Both round after every step.
"""

import cv2
import numpy as np
import pytest
from albumentations.augmentations.geometric import functional as geometric

from starter.data.augment.plan import plan

from .agree import APPLY, by_albumentations, by_device, by_kit, picture, steps

COUNT = 30
BOTH = pytest.mark.parametrize("how", ["device", "opencv"])
JITTER = {"brightness": [1, 1], "contrast": [1, 1], "saturation": [1, 1], "hue": [0, 0]}


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.abs(a.astype(int) - b.astype(int))


@BOTH
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("changes", "most", "mean"),
    [
        ({"brightness": [0.5, 1.5]}, 1, 0.05),
        ({"contrast": [0.5, 1.5]}, 1, 0.05),
        ({"saturation": [0.5, 1.5]}, 1, 0.05),
        ({"hue": [-0.5, 0.5]}, 12, 0.4),  # 0.05 with opencv 4.14; 4.9 rounds otherwise
        (
            {
                "brightness": [0.6, 1.4],
                "contrast": [0.6, 1.4],
                "saturation": [0.6, 1.4],
                "hue": [-0.1, 0.1],
            },
            20,
            0.4,
        ),
    ],
    ids=["brightness", "contrast", "saturation", "hue", "all"],
)
def test_colour_jitter(how, changes, most, mean, channels):
    described = {"kind": "ColorJitter", "p": 1} | JITTER | changes
    wanted, drawn = by_albumentations(described, 40, channels, COUNT)
    names = ("brightness", "contrast", "saturation", "hue", "order")
    made = by_kit(how, described, drawn, 40, channels, lambda p: {n: p[n] for n in names})
    found = difference(wanted, made)
    assert found.max() <= most and found.mean() < mean
    assert np.percentile(found, 99) <= (1 if mean < 0.1 else 2)


@BOTH
@pytest.mark.parametrize("by_max", [True, False])
def test_brightness_contrast(how, by_max):
    described = {"kind": "RandomBrightnessContrast", "brightness_by_max": by_max, "p": 1}
    wanted, drawn = by_albumentations(described, 40, 3, COUNT)

    def convert(params):
        mean = 255 if by_max else next(means)
        return {"alpha": params["alpha"], "beta": params["beta"] / mean}

    means = iter([picture(40, 3, i).mean() for i in range(COUNT)])
    assert difference(wanted, by_kit(how, described, drawn, 40, 3, convert)).max() <= 1


@BOTH
def test_to_gray_and_flips_have_nothing_to_draw(how):
    for kind, most in (("ToGray", 1), ("HorizontalFlip", 0), ("VerticalFlip", 0)):
        described = {"kind": kind, "p": 1}
        wanted, _ = by_albumentations(described, 40, 3, COUNT)
        augment = plan(steps(described), 40, 3)
        made = APPLY[how](augment, augment.draw(0, 0, np.arange(COUNT)), COUNT, 40, 3)
        assert difference(wanted, made).max() <= most


@BOTH
@pytest.mark.parametrize("limit", [[0, 0], [3, 7]])
@pytest.mark.parametrize("size", [16, 40])
def test_gaussian_blur(how, limit, size):
    described = {"kind": "GaussianBlur", "blur_limit": limit, "sigma_limit": [0.5, 3], "p": 1}
    wanted, drawn = by_albumentations(described, size, 3, COUNT)
    recovered = []
    for params in drawn:  # the kernel says which sigma it is of
        kernel = params["kernel"]
        middle = len(kernel) // 2
        sigma = np.sqrt(-0.5 / np.log(kernel[middle + 1] / kernel[middle]))
        recovered.append({"sigma": sigma, "radius": middle})
    made = by_kit(how, described, recovered, size, 3, dict)
    assert difference(wanted, made).max() <= 1


def hole(params: dict) -> dict:
    left, top, right, bottom = params["holes"].T
    colour = np.array([[9.0, 200.0, 30.0]] * len(left))
    return {
        "top": top,
        "left": left,
        "height": bottom - top,
        "width": right - left,
        "colour": colour,
        "count": len(left),
    }


@BOTH
@pytest.mark.parametrize(
    "described",
    [
        {"kind": "CoarseDropout", "num_holes_range": [3, 3], "fill": [9, 200, 30]},
        {
            "kind": "CoarseDropout",
            "num_holes_range": [1, 1],
            "hole_height_range": [4, 9],
            "hole_width_range": [2, 30],
            "fill": [9, 200, 30],
        },
        {"kind": "Erasing", "fill": [9, 200, 30]},
    ],
    ids=["holes", "in pixels", "erasing"],
)
def test_holes_are_exact(how, described):
    described |= {"p": 1}
    wanted, drawn = by_albumentations(described, 40, 3, COUNT)
    np.testing.assert_array_equal(wanted, by_kit(how, described, drawn, 40, 3, hole))


BORDERS = [(0, 0), (0, [10, 200, 90]), (1, 0), (2, 0), (4, 0)]


@BOTH
@pytest.mark.parametrize(("mode", "fill"), BORDERS)
@pytest.mark.parametrize("kind", ["Affine", "Perspective"])
def test_maps_sample_the_same_pixels(how, kind, mode, fill, monkeypatch):
    size = 48
    own = {"scale": [0.05, 0.15]}
    if kind == "Affine":
        own = {
            "rotate": [-30, 30],
            "scale": [0.7, 1.3],
            "shear": [-12, 12],
            "translate_percent": [-0.2, 0.2],
        }
    described = {"kind": kind, "border_mode": mode, "fill": fill, "p": 1} | own
    wanted, drawn = by_albumentations(described, size, 3, COUNT)
    inverses = []
    for p in drawn:
        forward = p["matrix"]
        if kind == "Perspective":
            forward = np.diag([size / p["max_width"], size / p["max_height"], 1]) @ forward
        inverses.append(np.linalg.inv(forward))
    augment = plan(steps(described), size, 3)
    step = augment.layers[0].entries[0].step
    monkeypatch.setattr(type(step), "inverse", lambda *_: np.stack(inverses))
    made = APPLY[how](augment, [[{"fired": np.ones(COUNT, bool)}]], COUNT, size, 3)
    found = difference(wanted, made)
    # With a constant border a few pixels at the image's own edge are weighted otherwise.
    assert found.max() <= (6 if mode == 0 else 2) and found.mean() < 0.25
    assert (found > 1).mean() < 0.02


def test_the_affine_map_is_albumentations_own():
    size = 40
    described = {
        "kind": "Affine",
        "rotate": [-170, 170],
        "scale": {"x": [0.5, 2], "y": [0.8, 1]},
        "shear": {"x": [-20, 20], "y": [-5, 9]},
        "translate_px": {"x": [-5, 9], "y": [3, 4]},
        "p": 1,
    }
    augment = plan(steps(described), size, 3)
    ((drawn,),) = augment.draw(3, 1, np.arange(50))
    inverse_B33 = augment.layers[0].entries[0].step.inverse(drawn, 50)
    for i in range(50):
        forward = geometric.create_affine_transformation_matrix(
            {axis: drawn[f"shift_{axis}"][i] for axis in "xy"},
            {axis: -drawn[f"shear_{axis}"][i] for axis in "xy"},
            {axis: drawn[f"scale_{axis}"][i] for axis in "xy"},
            drawn["rotate"][i],
            geometric.center((size, size)),
        )
        np.testing.assert_allclose(inverse_B33[i] @ forward, np.eye(3), atol=1e-12)


def test_the_perspective_map_is_albumentations_own():
    size = 40
    augment = plan(steps({"kind": "Perspective", "scale": [0.02, 0.2], "p": 1}), size, 3)
    ((drawn,),) = augment.draw(3, 1, np.arange(50))
    inverse_B33 = augment.layers[0].entries[0].step.inverse(drawn, 50)
    for i in range(50):
        point = geometric.order_points(drawn["point"][i])
        forward, width, height = geometric.compute_perspective_params(point, (size, size))
        forward = np.diag([size / width, size / height, 1]) @ forward
        corner = np.array([[[0, 0], [0, 39], [39, 0], [39, 39], [20, 13]]], np.float64)
        there = cv2.perspectiveTransform(corner, inverse_B33[i])
        np.testing.assert_allclose(cv2.perspectiveTransform(there, forward), corner, atol=1e-3)


@BOTH
@pytest.mark.parametrize("mode", [0, 1, 2, 4])
def test_pad_and_crop_is_a_slice_of_the_padded_image(how, mode):
    size, padding = 24, [3, 5, 2, 0]  # left, top, right, bottom
    inside = [
        {"kind": "Pad", "padding": padding, "border_mode": mode, "fill": 77},
        {"kind": "RandomCrop", "height": size, "width": size},
    ]
    augment = plan(steps({"kind": "Sequential", "p": 1, "transforms": inside}), size, 3)
    drawn = augment.draw(0, 0, np.arange(COUNT))
    made = APPLY[how](augment, drawn, COUNT, size, 3)
    seen = set()
    for i in range(COUNT):
        x, y = (int(drawn[0][0][f"shift_{axis}"][i]) for axis in "xy")
        padded = cv2.copyMakeBorder(picture(size, 3, i), 5, 0, 3, 2, mode, value=(77,) * 3)
        wanted = padded[5 - y : 5 - y + size, 3 - x : 3 - x + size]
        np.testing.assert_array_equal(made[i], wanted)
        seen |= {("x", x), ("y", y)}
    assert {v for a, v in seen if a == "x"} == set(range(-2, 4))
    assert {v for a, v in seen if a == "y"} == set(range(6))


def test_on_the_device_a_flip_and_maps_after_each_other_are_one_sampling():
    described = [
        {"kind": "HorizontalFlip", "p": 1},
        {"kind": "Affine", "rotate": [20, 20], "border_mode": 2, "p": 1},
        {"kind": "Affine", "rotate": [-20, -20], "border_mode": 2, "p": 1},
        {"kind": "VerticalFlip", "p": 1},
    ]
    augment = plan(steps(*described), 40, 3)
    assert len(augment.layers) == 1
    made = by_device(augment, augment.draw(0, 0, np.arange(5)), 5, 40, 3)
    for i in range(5):  # one rotation undoes the other; sampled twice, edges would be blurred
        np.testing.assert_array_equal(made[i], picture(40, 3, i)[::-1, ::-1])
