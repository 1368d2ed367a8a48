"""Colour, blur and holes.

Results are whole numbers, cut off or rounded where albumentations does.

Shapes: B images, R rounds, K taps of a kernel, N holes, H W pixels, C channels, uint8.
"""

from typing import Any, ClassVar

import cv2
import numpy as np

from starter.data.augment.step import Drawn, Function, NotOurs, Step, between, per_channel, whole
from starter.recipe.schema.base import Size, sides

# Opencv rounds where albumentations cuts off. Not 0.5, nor next to it in float32: a tie would go to
# the even number, where a whole number must stay itself.
CUT = 0.4999
HUES = 180  # of opencv's 8-bit HSV, two degrees each
TURNED = (np.arange(2 * HUES + 256) % HUES).astype(np.uint8)
MOST_HOLES = 32


def linear(image: np.ndarray, factor: float, plus: float) -> np.ndarray:
    """factor * image + plus, cut off to whole numbers in 0 to 255."""
    return cv2.addWeighted(image, factor, image, 0.0, plus - CUT)


def is_grey(image: np.ndarray) -> bool:
    return image.ndim == 2 or image.shape[2] == 1


def grey(image: np.ndarray) -> np.ndarray:
    """Luma; a grey image itself."""
    return image if is_grey(image) else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    return linear(image, factor, (1 - factor) * cv2.mean(grey(image))[0])


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    if is_grey(image):
        return image
    grey_HWC = cv2.cvtColor(grey(image), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, grey_HWC, 1 - factor, 0)


def turn_hue(image: np.ndarray, turn: float) -> np.ndarray:
    if turn == 0 or is_grey(image):
        return image
    first = int(np.floor(HUES * turn)) % HUES
    hsv_HWC = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hue_HW = cv2.LUT(cv2.extractChannel(hsv_HWC, 0), TURNED[first : first + 256])
    return cv2.cvtColor(cv2.insertChannel(hue_HW, hsv_HWC, 0), cv2.COLOR_HSV2RGB)


CHANGES = {
    "brightness": lambda image, factor: linear(image, factor, 0.0),
    "contrast": contrast,
    "saturation": saturation,
    "hue": turn_hue,
}


class ColorJitter(Step):
    """Factors of brightness, contrast and saturation and a turn of the hue, in an order drawn for
    each image."""

    draws = 8

    def draw(self, u_BD: np.ndarray) -> Drawn:
        factors = {
            name: between(u_BD[:, i], getattr(self.t, name)) for i, name in enumerate(CHANGES)
        }
        return factors | {"order": np.argsort(u_BD[:, 4:8], axis=1)}

    def function(self, drawn: Drawn) -> Function:
        order_BR = drawn["order"].tolist()
        factor_B4 = np.stack([drawn[name] for name in CHANGES], 1).tolist()
        changes = list(CHANGES.values())

        def apply(image_HWC: np.ndarray, i: int) -> np.ndarray:
            for which in order_BR[i]:
                image_HWC = changes[which](image_HWC, factor_B4[i][which])
            return image_HWC

        return apply


class RandomBrightnessContrast(Step):
    """A factor, and an addition of a share of 255 or of the image's mean."""

    draws = 2
    only: ClassVar = {"ensure_safe_range": False}

    def draw(self, u_BD: np.ndarray) -> Drawn:
        return {
            "alpha": 1 + between(u_BD[:, 0], self.t.contrast_limit),
            "beta": between(u_BD[:, 1], self.t.brightness_limit),
        }

    def function(self, drawn: Drawn) -> Function:
        alpha_B, beta_B = drawn["alpha"].tolist(), drawn["beta"].tolist()

        def apply(image_HWC: np.ndarray, i: int) -> np.ndarray:
            of = 255.0 if self.t.brightness_by_max else float(image_HWC.mean())
            return linear(image_HWC, alpha_B[i], beta_B[i] * of)

        return apply


class ToGray(Step):
    """Luma in every channel."""

    only: ClassVar = {"method": "weighted_average"}

    def function(self, drawn: Drawn) -> Function:
        return lambda image_HWC, i: (
            image_HWC if is_grey(image_HWC) else cv2.cvtColor(grey(image_HWC), cv2.COLOR_GRAY2RGB)
        )


class GaussianBlur(Step):
    """Sigma in pixels; a kernel size of 0 follows sigma. Edges are reflected."""

    draws = 2

    def __init__(self, t: Any, size: Size, channels: int):
        by_sigma = int(t.sigma_limit[1] * 3.5) if t.blur_limit[0] == 0 else 0
        reach = max(by_sigma, t.blur_limit[1] // 2)
        if reach >= min(sides(size)):  # further than the image
            raise NotOurs
        super().__init__(t, size, channels)

    def draw(self, u_BD: np.ndarray) -> Drawn:
        sigma_B = between(u_BD[:, 0], self.t.sigma_limit)
        size_B = whole(u_BD[:, 1], *self.t.blur_limit)
        size_B = np.where(size_B == 0, np.trunc(sigma_B * 3.5) * 2 + 1, size_B)
        return {"sigma": sigma_B, "radius": size_B // 2}  # an even size is made odd by one more

    def kernels(self, drawn: Drawn) -> np.ndarray:
        """kernel_BK, all as long as the longest, zeros around."""
        reach = int(drawn["radius"].max())
        tap_K = np.arange(-reach, reach + 1)
        inside_BK = np.abs(tap_K) <= drawn["radius"][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            kernel_BK = np.exp(-0.5 * (tap_K / drawn["sigma"][:, None]) ** 2)
        kernel_BK = np.where(tap_K == 0, 1.0, np.where(inside_BK, kernel_BK, 0.0))
        return kernel_BK / kernel_BK.sum(1, keepdims=True)

    def function(self, drawn: Drawn) -> Function:
        kernel_BK = list(self.kernels(drawn))
        return lambda image_HWC, i: cv2.sepFilter2D(
            image_HWC, -1, kernel_BK[i], kernel_BK[i], borderType=cv2.BORDER_REFLECT_101
        )


class Holes(Step):
    """Rectangles, drawn over each other: `top`, `left`, `height`, `width` (B, N) and `colour`
    (B, N, C)."""

    def __init__(self, t: Any, size: Size, channels: int):
        super().__init__(t, size, channels)
        if isinstance(t.fill, str) and t.fill != "random_uniform":
            raise NotOurs
        self.fill_C = None if isinstance(t.fill, str) else np.trunc(per_channel(t.fill, channels))

    def colours(self, u_BNC: np.ndarray) -> np.ndarray:
        """The colours of the holes, one drawn for each where the recipe gives none."""
        if self.fill_C is None:
            return np.floor(256 * u_BNC)
        return np.broadcast_to(self.fill_C, u_BNC.shape)

    def function(self, drawn: Drawn) -> Function:
        sides = (drawn[name].astype(int).tolist() for name in ("top", "height", "left", "width"))
        hole_B = [list(zip(*rows, strict=True)) for rows in zip(*sides, strict=True)]
        colour_BNC = drawn["colour"].astype(np.uint8)

        def apply(image_HWC: np.ndarray, i: int) -> np.ndarray:
            if not image_HWC.flags.writeable:  # a step of someone else's made it
                image_HWC = image_HWC.copy()
            for n, (top, height, left, width) in enumerate(hole_B[i]):
                image_HWC[top : top + height, left : left + width] = colour_BNC[i, n]
            return image_HWC

        return apply


class CoarseDropout(Holes):
    """Up to N holes, their sides in pixels or as a fraction of the image's."""

    def __init__(self, t: Any, size: Size, channels: int):
        super().__init__(t, size, channels)
        self.most = t.num_holes_range[1]
        if self.most > MOST_HOLES:
            raise NotOurs
        self.draws = 1 + self.most * (4 + channels)

    def draw(self, u_BD: np.ndarray) -> Drawn:
        u_BNk = u_BD[:, 1:].reshape(len(u_BD), self.most, 4 + self.channels)
        count_B = whole(u_BD[:, 0], *self.t.num_holes_range)
        exists_BN = np.arange(self.most) < count_B[:, None]
        drawn = {"count": count_B, "colour": self.colours(u_BNk[:, :, 4:])}
        places = (("height", "top", self.high), ("width", "left", self.wide))
        for i, (side, start, length) in enumerate(places):
            limits = getattr(self.t, f"hole_{side}_range")
            if self.t.hole_height_range[1] >= 1:  # in pixels
                side_BN = whole(u_BNk[:, :, i], int(limits[0]), int(min(limits[1], length)))
            else:
                side_BN = np.trunc(length * between(u_BNk[:, :, i], limits))
            drawn[start] = whole(u_BNk[:, :, 2 + i], 0, length - side_BN)
            drawn[side] = np.where(exists_BN, side_BN, 0)
        return drawn


class Erasing(Holes):
    """One hole by its share of the area and its width over its height."""

    def __init__(self, t: Any, size: Size, channels: int):
        super().__init__(t, size, channels)
        self.draws = 4 + channels

    def draw(self, u_BD: np.ndarray) -> Drawn:
        high, wide, ratio = self.high, self.wide, self.t.ratio
        area = high * wide
        least = area * self.t.scale[0]
        most = area * min(self.t.scale[1], ratio[0] * (high / wide), wide / high / ratio[1])
        drawn = {key: np.zeros((len(u_BD), 1)) for key in ("top", "height", "left", "width")}
        drawn["colour"] = self.colours(u_BD[:, None, 4:])
        if most >= least:
            area_B = between(u_BD[:, 0], (least, most))
            with np.errstate(divide="ignore"):
                high_B = np.minimum(ratio[1], wide**2 / area_B)
            low_B = np.maximum(ratio[0], area_B / high**2)
            ratio_B = low_B + (high_B - low_B) * u_BD[:, 1]
            drawn["height"][:, 0] = np.round(np.sqrt(area_B / ratio_B))
            drawn["width"][:, 0] = np.round(np.sqrt(area_B * ratio_B))
            drawn["top"] = whole(u_BD[:, 2:3], 0, high - drawn["height"])
            drawn["left"] = whole(u_BD[:, 3:4], 0, wide - drawn["width"])
        return drawn
