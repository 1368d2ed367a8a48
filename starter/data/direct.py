"""The commonest transforms of albumentations 2.0.8 without its bookkeeping, in under half its time.

They draw the same numbers from the transform's own generators, in the same order, and call opencv
with the same arguments: the images are equal, bit for bit (a test holds it). What is left out is
what the kit does not need: matrices for boxes, saved parameters, copies for contiguous arrays.

Shapes: H W pixels, C channels, K holes.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from albucore import sz_lut

Function = Callable[[np.ndarray], np.ndarray]

RADIANS = math.pi / 180.0
RAMP = np.arange(256, dtype=np.float32)
HUES = 180  # of opencv's 8-bit HSV, two degrees each
TURNED = (np.arange(HUES + 256) % HUES).astype(np.uint8)


def direct(transform: Any, channels: int) -> Function | None:
    """A function (H,W,C) uint8 -> the same that does what `transform(image=...)` does, its p
    included; None where there is none for this transform or one of its arguments.

    transform: of albumentations, its random state already set; later draws are from that. The
    function may overwrite what it is given.
    """
    found = DIRECT.get(f"{type(transform).__module__}.{type(transform).__name__}")
    made = found(transform, channels) if found and channels in (1, 3) else None
    return made and _sometimes(made, transform)


def _sometimes(function: Function, transform: Any) -> Function:
    p, random = transform.p, transform.py_random.random
    if p >= 1:
        return function
    return lambda image_HWC: function(image_HWC) if p > 0 and random() < p else image_HWC


def _flip(code: int) -> Callable[[Any, int], Function]:
    def build(transform: Any, channels: int) -> Function:
        return lambda image_HWC: cv2.flip(image_HWC, code).reshape(image_HWC.shape)

    return build


def _grey(t: Any, channels: int) -> Function | None:
    if channels == 1 or t.method != "weighted_average" or t.num_output_channels != channels:
        return None
    return lambda image_HWC: cv2.cvtColor(_luma(image_HWC), cv2.COLOR_GRAY2RGB)


def _luma(image_HWC: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image_HWC, cv2.COLOR_RGB2GRAY)


def _affine(t: Any, channels: int) -> Function | None:
    if t.fit_output or t.balanced_scale:
        return None
    draw, to_centre = _affine_draws(t), cache(_to_centre)
    fill = [t.fill] * channels if isinstance(t.fill, float) else t.fill
    flags, border = t.interpolation, t.border_mode

    def apply(image_HWC: np.ndarray) -> np.ndarray:
        height, width = image_HWC.shape[:2]
        matrix_33 = _matrix(to_centre(height, width), *draw(height, width))
        if _is_identity(matrix_33):
            return image_HWC
        moved = cv2.warpAffine(image_HWC, matrix_33[:2], (width, height), flags=flags,
                               borderMode=border, borderValue=fill)  # fmt: skip
        return moved.reshape(image_HWC.shape)

    return apply


def _affine_draws(t: Any) -> Callable[[int, int], tuple[float, ...]]:
    """Shift x and y in pixels, shear x and y and rotation in degrees, scale x and y."""
    uniform, randint = t.py_random.uniform, t.py_random.randint
    percent, pixels = t.translate_percent, t.translate_px
    shear, scale, rotate, keep_ratio = t.shear, t.scale, t.rotate, t.keep_ratio

    def draw(height: int, width: int) -> tuple[float, ...]:
        if pixels is not None:
            shift_x, shift_y = (randint(int(pixels[k][0]), int(pixels[k][1])) for k in "xy")
        else:
            share_x, share_y = uniform(*percent["x"]), uniform(*percent["y"])
            shift_x, shift_y = int(share_x * width), int(share_y * height)
        shear_x, shear_y = -uniform(*shear["x"]), -uniform(*shear["y"])
        scale_x, scale_y = uniform(*scale["x"]), uniform(*scale["y"])
        scale_y = scale_x if keep_ratio else scale_y
        return shift_x, shift_y, shear_x, shear_y, uniform(*rotate), scale_x, scale_y

    return draw


def _to_centre(height: int, width: int) -> np.ndarray:
    return np.array([[1.0, 0.0, 0.5 - width / 2], [0.0, 1.0, 0.5 - height / 2], [0.0, 0.0, 1.0]])


def _matrix(
    to_centre_33: np.ndarray, shift_x: float, shift_y: float, shear_x: float, shear_y: float,
    rotate: float, scale_x: float, scale_y: float,
) -> np.ndarray:  # fmt: skip
    """About the centre: scale, rotate, shear, shift.

    Four of albumentations' six factors only move or scale columns, where no sum is rounded: the
    two products that are left round as its own do.
    """
    x, y = -to_centre_33[:2, 2]
    angle = rotate % 360 * RADIANS
    cos, sin = np.cos(angle), np.sin(angle)
    tan_x, tan_y = np.tan(shear_x * RADIANS), np.tan(shear_y * RADIANS)
    sheared_33 = np.array([[1.0, tan_x, shift_x + x], [tan_y, 1.0, shift_y + y], [0.0, 0.0, 1.0]])
    turn_33 = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return (sheared_33 @ turn_33 * (scale_x, scale_y, 1.0)) @ to_centre_33


def _is_identity(matrix_33: np.ndarray) -> bool:
    """np.allclose to the identity, which takes longer than the warp."""
    (a, b, c), (d, e, f) = matrix_33[:2].tolist()
    return abs(a - 1) <= 1.001e-5 and abs(e - 1) <= 1.001e-5 and all(
        abs(v) <= 1e-8 for v in (b, c, d, f))  # fmt: skip


def _jitter(t: Any, channels: int) -> Function:
    uniform, shuffle = t.py_random.uniform, t.random_generator.shuffle
    limits = t.brightness, t.contrast, t.saturation, t.hue
    steps = _brightness, _contrast, _saturation, _hue

    def apply(image_HWC: np.ndarray) -> np.ndarray:
        shape = image_HWC.shape
        factors = [uniform(*limit) for limit in limits]
        order = [0, 1, 2, 3]
        shuffle(order)
        for i in order:
            image_HWC = steps[i](image_HWC, factors[i])
        return image_HWC.reshape(shape)

    return apply


def _look_up(image_HWC: np.ndarray, value_256: np.ndarray) -> np.ndarray:
    np.minimum(np.maximum(value_256, 0, out=value_256), 255, out=value_256)
    return sz_lut(image_HWC, value_256.astype(np.uint8), inplace=False)


def _brightness(image_HWC: np.ndarray, factor: float) -> np.ndarray:
    return image_HWC if factor == 1 else _look_up(image_HWC, RAMP * factor)


def _contrast(image_HWC: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1:
        return image_HWC
    luma_HW = _luma(image_HWC) if image_HWC.shape[2] == 3 else image_HWC[:, :, 0]
    mean = cv2.sumElems(luma_HW)[0] / luma_HW.size
    if factor == 0:  # albumentations rounds here alone
        return np.full_like(image_HWC, int(mean + 0.5))
    return _look_up(image_HWC, RAMP * factor + mean * (1 - factor))


def _saturation(image_HWC: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1 or image_HWC.shape[2] == 1:
        return image_HWC
    grey_HWC = cv2.cvtColor(_luma(image_HWC), cv2.COLOR_GRAY2RGB)
    return grey_HWC if factor == 0 else cv2.addWeighted(image_HWC, factor, grey_HWC, 1 - factor, 0)


def _hue(image_HWC: np.ndarray, factor: float) -> np.ndarray:
    if factor == 0 or image_HWC.shape[2] == 1:
        return image_HWC
    first = math.floor(HUES * factor) % HUES
    hsv_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2HSV)
    hue_HW = cv2.LUT(cv2.extractChannel(hsv_HWC, 0), TURNED[first : first + 256])
    return cv2.cvtColor(cv2.insertChannel(hue_HW, hsv_HWC, 0), cv2.COLOR_HSV2RGB)


def _holes(t: Any, channels: int) -> Function | None:
    if isinstance(t.fill, str) and t.fill != "random_uniform":
        return None
    randint, generator, count = t.py_random.randint, t.random_generator, t.num_holes_range
    integers, in_pixels = generator.integers, t.hole_height_range[1] >= 1

    def side(limits: tuple[float, float], length: int) -> int:
        if in_pixels:
            return int(integers(int(limits[0]), int(min(limits[1], length) + 1)))
        return int(length * generator.uniform(*limits))

    def apply(image_HWC: np.ndarray) -> np.ndarray:
        height, width = image_HWC.shape[:2]
        holes = range(randint(*count))
        high_K = [side(t.hole_height_range, height) for _ in holes]
        wide_K = [side(t.hole_width_range, width) for _ in holes]
        top_K = [int(integers(0, height - high + 1)) for high in high_K]
        left_K = [int(integers(0, width - wide + 1)) for wide in wide_K]
        seed = integers(0, 2**32 - 1)  # drawn for any fill
        colours = np.random.Generator(np.random.PCG64(seed)) if t.fill == "random_uniform" else None
        for top, left, high, wide in zip(top_K, left_K, high_K, wide_K, strict=True):
            image_HWC[top : top + high, left : left + wide] = (
                np.array(t.fill, np.uint8) if colours is None
                else colours.integers(0, 256, size=(1, channels), dtype=np.uint8)
            )  # fmt: skip
        return image_HWC

    return apply


AUGMENTATIONS = "albumentations.augmentations"
DIRECT: dict[str, Callable[[Any, int], Function | None]] = {
    f"{AUGMENTATIONS}.geometric.flip.HorizontalFlip": _flip(1),
    f"{AUGMENTATIONS}.geometric.flip.VerticalFlip": _flip(0),
    f"{AUGMENTATIONS}.geometric.transforms.Affine": _affine,
    f"{AUGMENTATIONS}.pixel.transforms.ColorJitter": _jitter,
    f"{AUGMENTATIONS}.pixel.transforms.ToGray": _grey,
    f"{AUGMENTATIONS}.dropout.coarse_dropout.CoarseDropout": _holes,
}
