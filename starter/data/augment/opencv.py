"""The kit's own steps on one image at a time, with opencv: what a CPU does of a batch's draws.

The numbers are those that the device's layers get (`on_device`): for the same seed, epoch and
position both make the same image, up to roundings, but for what the second of two maps in a row
sees outside the image (here the border of the first). Against albumentations, which draws for each
image alone and keeps what only boxes and masks need, this costs a quarter of the time.

Shapes: B images, N holes, H W pixels, C channels (1 or 3), uint8.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from starter.data.augment import colour, geometry, local
from starter.data.augment.geometry import Drawn

# Image number i of the batch, varied. May overwrite the image; may drop the axis of 1 channel.
Function = Callable[[np.ndarray, int], np.ndarray]

# Opencv rounds where albumentations cuts off. Not 0.5, nor next to it in float32: a tie would go to
# the even number, where a whole number must stay itself.
CUT = 0.4999
HUES = 180  # of opencv's 8-bit HSV, two degrees each
TURNED = (np.arange(2 * HUES + 256) % HUES).astype(np.uint8)


def function(step: Any, drawn: Drawn) -> Function:
    """What a step does to each image of a batch.

    step: of `on_device`, a map or a colour.Step. drawn: what it drew, arrays of B rows.
    """
    return FUNCTIONS[type(step)](step, drawn)


def _flip(step: geometry.Flip, drawn: Drawn) -> Function:
    code = 1 - step.axis
    return lambda image_HWC, i: cv2.flip(image_HWC, code)


def _affine(step: geometry.Affine | geometry.PadAndCrop, drawn: Drawn) -> Function:
    whole_pixels = isinstance(step, geometry.PadAndCrop)
    flags = (cv2.INTER_NEAREST if whole_pixels else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    return _mapped(
        step,
        drawn,
        lambda inverse_33, image_HWC, size, **border: cv2.warpAffine(
            image_HWC, inverse_33[:2], size, flags=flags, **border
        ),
    )


def _perspective(step: geometry.Perspective, drawn: Drawn) -> Function:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _mapped(
        step,
        drawn,
        lambda inverse_33, image_HWC, size, **border: cv2.warpPerspective(
            image_HWC, inverse_33, size, flags=flags, **border
        ),
    )


def _mapped(step: Any, drawn: Drawn, warp: Callable[..., np.ndarray]) -> Function:
    inverse_B33 = list(step.inverse(drawn, len(drawn["fired"])))
    size, border, fill = (step.size, step.size), step.border.mode, step.border.fill_C
    return lambda image_HWC, i: warp(
        inverse_B33[i], image_HWC, size, borderMode=border, borderValue=fill
    )


def _jitter(step: colour.ColorJitter, drawn: Drawn) -> Function:
    order_BR = drawn["order"].tolist()
    factor_B4 = np.stack([drawn[name] for name in step.names], 1).tolist()

    def apply(image_HWC: np.ndarray, i: int) -> np.ndarray:
        for which in order_BR[i]:
            image_HWC = CHANGES[which](image_HWC, factor_B4[i][which])
        return image_HWC

    return apply


def _linear(image: np.ndarray, factor: float, plus: float) -> np.ndarray:
    """factor * image + plus, cut off to whole numbers in 0 to 255."""
    return cv2.addWeighted(image, factor, image, 0.0, plus - CUT)


def _grey(image: np.ndarray) -> np.ndarray:
    return (
        image if image.ndim == 2 or image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    )


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return _linear(image, factor, 0.0)


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    return _linear(image, factor, (1 - factor) * cv2.mean(_grey(image))[0])


def _saturation(image: np.ndarray, factor: float) -> np.ndarray:
    grey_HW = _grey(image)
    if grey_HW is image:
        return image
    return cv2.addWeighted(image, factor, cv2.cvtColor(grey_HW, cv2.COLOR_GRAY2RGB), 1 - factor, 0)


def _hue(image: np.ndarray, turn: float) -> np.ndarray:
    if turn == 0 or image.ndim == 2 or image.shape[2] == 1:
        return image
    first = int(np.floor(HUES * turn)) % HUES
    hsv_HWC = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hue_HW = cv2.LUT(cv2.extractChannel(hsv_HWC, 0), TURNED[first : first + 256])
    return cv2.cvtColor(cv2.insertChannel(hue_HW, hsv_HWC, 0), cv2.COLOR_HSV2RGB)


CHANGES = {
    colour.BRIGHTNESS: _brightness,
    colour.CONTRAST: _contrast,
    colour.SATURATION: _saturation,
    colour.HUE: _hue,
}


def _brightness_contrast(step: colour.BrightnessContrast, drawn: Drawn) -> Function:
    alpha_B, beta_B = drawn["alpha"].tolist(), drawn["beta"].tolist()

    def apply(image_HWC: np.ndarray, i: int) -> np.ndarray:
        whole = 255.0 if step.by_max else float(image_HWC.mean())
        return _linear(image_HWC, alpha_B[i], beta_B[i] * whole)

    return apply


def _to_grey(step: colour.ToGray, drawn: Drawn) -> Function:
    def apply(image_HWC: np.ndarray, i: int) -> np.ndarray:
        grey_HW = _grey(image_HWC)
        return grey_HW if grey_HW is image_HWC else cv2.cvtColor(grey_HW, cv2.COLOR_GRAY2RGB)

    return apply


def _blur(step: local.GaussianBlur, drawn: Drawn) -> Function:
    kernel_BK = list(step.host(drawn)["kernel"])
    return lambda image_HWC, i: cv2.sepFilter2D(
        image_HWC, -1, kernel_BK[i], kernel_BK[i], borderType=cv2.BORDER_REFLECT_101
    )


def _holes(step: local.Holes | local.Erasing, drawn: Drawn) -> Function:
    sides = (drawn[name].astype(int).tolist() for name in ("top", "height", "left", "width"))
    hole_B = [list(zip(*rows, strict=True)) for rows in zip(*sides, strict=True)]
    colour_BNC = drawn["colour"].astype(np.uint8)

    def apply(image_HWC: np.ndarray, i: int) -> np.ndarray:
        if not image_HWC.flags.writeable:  # of a step of others'
            image_HWC = image_HWC.copy()
        for n, (top, height, left, width) in enumerate(hole_B[i]):
            image_HWC[top : top + height, left : left + width] = colour_BNC[i, n]
        return image_HWC

    return apply


FUNCTIONS: dict[type, Callable[[Any, Drawn], Function]] = {
    geometry.Flip: _flip,
    geometry.Affine: _affine,
    geometry.PadAndCrop: _affine,
    geometry.Perspective: _perspective,
    colour.ColorJitter: _jitter,
    colour.BrightnessContrast: _brightness_contrast,
    colour.ToGray: _to_grey,
    local.GaussianBlur: _blur,
    local.Holes: _holes,
    local.Erasing: _holes,
}
