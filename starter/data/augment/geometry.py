"""Where every pixel comes from: flips, affine and perspective maps and shifts as matrices, fused.

Coordinates are pixel centres, x to the right, as opencv counts them. A map is kept as its inverse,
from the varied image to the original, so that maps follow each other by multiplication.

Shapes: B images, C channels, H W pixels; inverse_B33 homogeneous.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

Drawn = dict[str, np.ndarray]
CONSTANT, REPLICATE, REFLECT, REFLECT_101 = 0, 1, 2, 4  # opencv's border modes
PADDING = {CONSTANT: "zeros", REPLICATE: "border", REFLECT: "reflection", REFLECT_101: "reflection"}


class Border(NamedTuple):
    """What lies outside an image: opencv's mode, and a value per channel for CONSTANT."""

    mode: int
    fill_C: tuple[float, ...]


def between(u_B: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """Uniform numbers of (0, 1) moved to the limits."""
    return limits[0] + (limits[1] - limits[0]) * u_B


def whole(u_B: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Whole numbers, float64, low and high included."""
    return np.floor(u_B * (high - low + 1)) + low


@dataclass(frozen=True)
class Flip:
    """HorizontalFlip (axis 0, x) or VerticalFlip (axis 1, y)."""

    axis: int
    size: int
    border: None = None
    draws = 0

    def draw(self, u_BD: np.ndarray) -> Drawn:
        return {}

    def inverse(self, drawn: Drawn, count: int) -> np.ndarray:
        matrix = np.eye(3)
        matrix[self.axis, self.axis], matrix[self.axis, 2] = -1, self.size - 1
        return np.broadcast_to(matrix, (count, 3, 3))


@dataclass(frozen=True)
class Affine:
    """Affine: scale, then rotation, shear and translation, about the centre.

    Limits for x and y; translate in pixels (whole numbers are drawn) or as a fraction of the size.
    """

    size: int
    border: Border
    rotate: tuple[float, float]
    scale: dict[str, tuple[float, float]]
    shear: dict[str, tuple[float, float]]
    translate: dict[str, tuple[float, float]]
    in_percent: bool
    keep_ratio: bool
    draws = 7

    def draw(self, u_BD: np.ndarray) -> Drawn:
        drawn = {"rotate": between(u_BD[:, 0], self.rotate)}
        for i, axis in enumerate("xy"):
            drawn[f"scale_{axis}"] = between(u_BD[:, 1 + i], self.scale[axis])
            drawn[f"shear_{axis}"] = between(u_BD[:, 3 + i], self.shear[axis])
            limits, u_B = self.translate[axis], u_BD[:, 5 + i]
            shift_B = (
                np.trunc(between(u_B, limits) * self.size)
                if self.in_percent
                else whole(u_B, int(limits[0]), int(limits[1]))
            )
            drawn[f"shift_{axis}"] = shift_B
        if self.keep_ratio:
            drawn["scale_y"] = drawn["scale_x"]
        return drawn

    def inverse(self, drawn: Drawn, count: int) -> np.ndarray:
        angle_B = np.deg2rad(drawn["rotate"])
        cos_B, sin_B = np.cos(angle_B), np.sin(angle_B)
        shear_x_B, shear_y_B = (-np.tan(np.deg2rad(drawn[f"shear_{axis}"])) for axis in "xy")
        a_B = (cos_B - shear_x_B * sin_B) * drawn["scale_x"]
        b_B = (sin_B + shear_x_B * cos_B) * drawn["scale_y"]
        c_B = (shear_y_B * cos_B - sin_B) * drawn["scale_x"]
        d_B = (shear_y_B * sin_B + cos_B) * drawn["scale_y"]
        det_B = a_B * d_B - b_B * c_B
        inverse_B33 = np.zeros((count, 3, 3))
        inverse_B33[:, 0, 0], inverse_B33[:, 0, 1] = d_B / det_B, -b_B / det_B
        inverse_B33[:, 1, 0], inverse_B33[:, 1, 1] = -c_B / det_B, a_B / det_B
        inverse_B33[:, 2, 2] = 1
        centre = self.size / 2 - 0.5
        moved_B2 = np.stack([centre + drawn["shift_x"], centre + drawn["shift_y"]], 1)
        inverse_B33[:, :2, 2] = centre - np.einsum("bij,bj->bi", inverse_B33[:, :2, :2], moved_B2)
        return inverse_B33


@dataclass(frozen=True)
class Perspective:
    """Perspective: corners move inwards by |N(0, scale)| mod 0.32 of a side; the size stays."""

    size: int
    border: Border
    scale: tuple[float, float]
    draws = 9

    def draw(self, u_BD: np.ndarray) -> Drawn:
        scale_B = between(u_BD[:, 0], self.scale)
        radius_B4, angle_B4 = np.sqrt(-2 * np.log(u_BD[:, 1:5])), 2 * np.pi * u_BD[:, 5:9]
        normal_B42 = np.stack([radius_B4 * np.cos(angle_B4), radius_B4 * np.sin(angle_B4)], 2)
        inward_B42 = np.mod(np.abs(normal_B42 * scale_B[:, None, None]), 0.32)
        corner_42 = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        point_B42 = np.where(corner_42 == 0, inward_B42, 1 - inward_B42) * self.size
        return {"scale": scale_B, "point": point_B42}

    def inverse(self, drawn: Drawn, count: int) -> np.ndarray:
        point_B42 = drawn["point"].astype(np.float32)
        width_B, height_B = self._sides(point_B42)
        # albumentations maps the four points to the corners and then enlarges once more, by the
        # ratio of the image's side to the quadrilateral's.
        shrink_B3 = np.ones((count, 3))
        shrink_B3[:, 0], shrink_B3[:, 1] = width_B / self.size**2, height_B / self.size**2
        return square_to(point_B42.astype(np.float64)) * shrink_B3[:, None, :]

    def _sides(self, point_B42: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def length(a: int, b: int) -> np.ndarray:
            return np.sqrt(((point_B42[:, a] - point_B42[:, b]) ** 2).sum(1))

        width_B = np.floor(np.maximum(length(1, 0), length(2, 3)))
        return width_B, np.floor(np.maximum(length(2, 1), length(3, 0)))


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


@dataclass(frozen=True)
class PadAndCrop:
    """Pad (left, top, right, bottom) or PadIfNeeded, then RandomCrop back to the size."""

    size: int
    border: Border
    padding: tuple[int, int, int, int]
    draws = 2

    def draw(self, u_BD: np.ndarray) -> Drawn:
        left, top, right, bottom = self.padding
        return {
            "shift_x": left - whole(u_BD[:, 0], 0, left + right),
            "shift_y": top - whole(u_BD[:, 1], 0, top + bottom),
        }

    def inverse(self, drawn: Drawn, count: int) -> np.ndarray:
        inverse_B33 = np.tile(np.eye(3), (count, 1, 1))
        inverse_B33[:, 0, 2], inverse_B33[:, 1, 2] = -drawn["shift_x"], -drawn["shift_y"]
        return inverse_B33


def to_grid(inverse_B33: np.ndarray, size: int, mode: int) -> np.ndarray:
    """inverse_B33 with its result in the coordinates of `grid_sample`, -1 to 1."""
    span = size - 1 if mode == REFLECT_101 else size  # corners at pixel centres, or at edges
    change_33 = np.array(
        [[2 / span, 0, (1 - size) / span], [0, 2 / span, (1 - size) / span], [0, 0, 1]]
    )
    return change_33 @ inverse_B33


def constant(value_C: Sequence[float], device: torch.device) -> torch.Tensor:
    """float32 (C,1,1), made on the device: copying it there would wait for the device."""
    return torch.cat([torch.full((1, 1, 1), float(v), device=device) for v in value_C])


def warp(
    image_BCHW: torch.Tensor, grid_B33: torch.Tensor, border: Border, straight: bool
) -> torch.Tensor:
    """Every image sampled bilinearly through its own map, rounded to whole numbers.

    image_BCHW: float, 0 to 255. grid_B33: float32, from `to_grid`. straight: no perspective in it.
    """
    size = image_BCHW.shape[2]
    at_S = torch.arange(size, device=image_BCHW.device, dtype=torch.float32)
    # Sums of rows and columns, not a matrix product: TF32 would move pixels.
    along_B3S = grid_B33[:, :, :1] * at_S + grid_B33[:, :, 2:]
    down_B3S = grid_B33[:, :, 1:2] * at_S
    rows = 2 if straight else 3
    where_BHWr = torch.stack(
        [along_B3S[:, r, None, :] + down_B3S[:, r, :, None] for r in range(rows)], 3
    )
    grid_BHW2 = where_BHWr if straight else where_BHWr[..., :2] / where_BHWr[..., 2:]
    filled = border.mode == CONSTANT and any(border.fill_C)
    if filled:
        fill_C11 = constant(border.fill_C, image_BCHW.device)
        image_BCHW = image_BCHW - fill_C11
    image_BCHW = torch.nn.functional.grid_sample(
        image_BCHW,
        grid_BHW2,
        mode="bilinear",
        padding_mode=PADDING[border.mode],
        align_corners=border.mode == REFLECT_101,
    )
    if filled:
        image_BCHW = image_BCHW.add_(fill_C11)
    return image_BCHW.round_()
