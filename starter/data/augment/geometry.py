"""Flips, affine and perspective maps, and shifted crops.

Coordinates are pixel centres, x to the right, as opencv counts them. A map is kept as its inverse:
from the varied image to the original.

Shapes: B images; point_B42 four corners; inverse_B33 homogeneous.
"""

from typing import Any, ClassVar

import cv2
import numpy as np

from starter.data.augment.step import (
    Drawn,
    Function,
    NotOurs,
    Step,
    between,
    per_channel,
    require,
    whole,
)
from starter.recipe.schema.base import Size, sides

LINEAR = cv2.INTER_LINEAR
BORDERS = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT, cv2.BORDER_REFLECT_101)


class HorizontalFlip(Step):
    """Mirrors left and right."""

    code = 1  # opencv's

    def function(self, drawn: Drawn) -> Function:
        return lambda image_HWC, i: cv2.flip(image_HWC, self.code)


class VerticalFlip(HorizontalFlip):
    """Mirrors top and bottom."""

    code = 0


class Map(Step):
    """A step that says where every pixel comes from."""

    interpolation = LINEAR

    def __init__(self, t: Any, size: Size, channels: int):
        super().__init__(t, size, channels)
        if t.border_mode not in BORDERS:
            raise NotOurs
        constant = t.border_mode == cv2.BORDER_CONSTANT
        self.fill_C = per_channel(t.fill, channels) if constant else (0.0,) * channels

    def inverse(self, drawn: Drawn) -> np.ndarray:
        """inverse_B33 of the maps that were drawn."""
        raise NotImplementedError

    def function(self, drawn: Drawn) -> Function:
        perspective = isinstance(self, Perspective)
        warp, rows = (cv2.warpPerspective, 3) if perspective else (cv2.warpAffine, 2)
        inverse_B = list(self.inverse(drawn)[:, :rows])
        flags, size = self.interpolation | cv2.WARP_INVERSE_MAP, (self.wide, self.high)
        border = {"borderMode": self.t.border_mode, "borderValue": self.fill_C}
        return lambda image_HWC, i: warp(image_HWC, inverse_B[i], size, flags=flags, **border)


class Affine(Map):
    """Scale, then rotation, shear and translation, about the centre.

    The translation is a whole number of pixels, or a fraction of the size.
    """

    draws = 7
    only: ClassVar = {"interpolation": LINEAR, "fit_output": False, "balanced_scale": False}

    def draw(self, u_BD: np.ndarray) -> Drawn:
        t = self.t
        drawn = {"rotate": between(u_BD[:, 0], t.rotate)}
        for i, (axis, side) in enumerate((("x", self.wide), ("y", self.high))):
            drawn[f"scale_{axis}"] = between(u_BD[:, 1 + i], t.scale[axis])
            drawn[f"shear_{axis}"] = between(u_BD[:, 3 + i], t.shear[axis])
            u_B = u_BD[:, 5 + i]
            if t.translate_percent is not None:
                shift_B = np.trunc(between(u_B, t.translate_percent[axis]) * side)
            else:
                low, high = t.translate_px[axis]
                shift_B = whole(u_B, int(low), int(high))
            drawn[f"shift_{axis}"] = shift_B
        if t.keep_ratio:
            drawn["scale_y"] = drawn["scale_x"]
        return drawn

    def inverse(self, drawn: Drawn) -> np.ndarray:
        angle_B = np.deg2rad(drawn["rotate"])
        cos_B, sin_B = np.cos(angle_B), np.sin(angle_B)
        shear_x_B, shear_y_B = (-np.tan(np.deg2rad(drawn[f"shear_{axis}"])) for axis in "xy")
        a_B = (cos_B - shear_x_B * sin_B) * drawn["scale_x"]
        b_B = (sin_B + shear_x_B * cos_B) * drawn["scale_y"]
        c_B = (shear_y_B * cos_B - sin_B) * drawn["scale_x"]
        d_B = (shear_y_B * sin_B + cos_B) * drawn["scale_y"]
        det_B = a_B * d_B - b_B * c_B
        inverse_B33 = np.zeros((len(angle_B), 3, 3))
        inverse_B33[:, 0, 0], inverse_B33[:, 0, 1] = d_B / det_B, -b_B / det_B
        inverse_B33[:, 1, 0], inverse_B33[:, 1, 1] = -c_B / det_B, a_B / det_B
        inverse_B33[:, 2, 2] = 1
        centre_2 = np.array([self.wide, self.high]) / 2 - 0.5
        moved_B2 = centre_2 + np.stack([drawn["shift_x"], drawn["shift_y"]], 1)
        inverse_B33[:, :2, 2] = centre_2 - np.einsum("bij,bj->bi", inverse_B33[:, :2, :2], moved_B2)
        return inverse_B33


class Perspective(Map):
    """Corners move inwards by |N(0, scale)| mod 0.32 of a side; the size stays."""

    draws = 9
    only: ClassVar = {"interpolation": LINEAR, "fit_output": False, "keep_size": True}

    def draw(self, u_BD: np.ndarray) -> Drawn:
        scale_B = between(u_BD[:, 0], self.t.scale)
        radius_B4, angle_B4 = np.sqrt(-2 * np.log(u_BD[:, 1:5])), 2 * np.pi * u_BD[:, 5:9]
        normal_B42 = np.stack([radius_B4 * np.cos(angle_B4), radius_B4 * np.sin(angle_B4)], 2)
        inward_B42 = np.mod(np.abs(normal_B42 * scale_B[:, None, None]), 0.32)
        corner_42 = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        side_2 = np.array([self.wide, self.high])
        return {"point": np.where(corner_42 == 0, inward_B42, 1 - inward_B42) * side_2}

    def inverse(self, drawn: Drawn) -> np.ndarray:
        point_B42 = drawn["point"].astype(np.float32)

        def length(a: int, b: int) -> np.ndarray:
            return np.sqrt(((point_B42[:, a] - point_B42[:, b]) ** 2).sum(1))

        # albumentations maps the four points to the corners and then enlarges once more, by the
        # ratio of the image's side to the quadrilateral's.
        shrink_B3 = np.ones((len(point_B42), 3))
        shrink_B3[:, 0] = np.floor(np.maximum(length(1, 0), length(2, 3))) / self.wide**2
        shrink_B3[:, 1] = np.floor(np.maximum(length(2, 1), length(3, 0))) / self.high**2
        return square_to(point_B42.astype(np.float64)) * shrink_B3[:, None, :]


def square_to(point_B42: np.ndarray) -> np.ndarray:
    """The maps of the unit square's corners (0,0), (1,0), (1,1), (0,1) to four points each."""
    p0, p1, p2, p3 = (point_B42[:, i] for i in range(4))
    edge_1, edge_2, rest = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    det_B = edge_1[:, 0] * edge_2[:, 1] - edge_2[:, 0] * edge_1[:, 1]
    g_B = (rest[:, 0] * edge_2[:, 1] - edge_2[:, 0] * rest[:, 1]) / det_B
    h_B = (edge_1[:, 0] * rest[:, 1] - rest[:, 0] * edge_1[:, 1]) / det_B
    matrix_B33 = np.ones((len(point_B42), 3, 3))
    matrix_B33[:, :2, 0] = p1 - p0 + g_B[:, None] * p1
    matrix_B33[:, :2, 1] = p3 - p0 + h_B[:, None] * p3
    matrix_B33[:, :2, 2] = p0
    matrix_B33[:, 2, 0], matrix_B33[:, 2, 1] = g_B, h_B
    return matrix_B33


class PadAndCrop(Map):
    """Pad or PadIfNeeded, then RandomCrop back to the size, as one shift by whole pixels."""

    draws = 2
    interpolation = cv2.INTER_NEAREST

    def __init__(self, pad: Any, crop: Any, size: Size, channels: int):
        require(pad, p=1)
        high, wide = sides(size)
        require(crop, p=1, height=high, width=wide)
        if type(pad).__name__ == "PadIfNeeded":
            require(pad, position="center", pad_height_divisor=None, pad_width_divisor=None)
            extra = [max(pad.min_width - wide, 0), max(pad.min_height - high, 0)]
            left, top = extra[0] // 2, extra[1] // 2
            self.padding = (left, top, extra[0] - left, extra[1] - top)
        else:
            given = pad.padding
            x, y, *others = given if isinstance(given, list | tuple) else (given, given)
            self.padding = (x, y, *(others or (x, y)))
        super().__init__(pad, size, channels)

    def draw(self, u_BD: np.ndarray) -> Drawn:
        left, top, right, bottom = self.padding
        return {
            "shift_x": left - whole(u_BD[:, 0], 0, left + right),
            "shift_y": top - whole(u_BD[:, 1], 0, top + bottom),
        }

    def inverse(self, drawn: Drawn) -> np.ndarray:
        inverse_B33 = np.tile(np.eye(3), (len(drawn["shift_x"]), 1, 1))
        inverse_B33[:, 0, 2], inverse_B33[:, 1, 2] = -drawn["shift_x"], -drawn["shift_y"]
        return inverse_B33
