"""Smooth shapes on a small picture, given in the units of a head that is turned in space; the light
on it, and the camera that takes its picture.

Shapes: N points, H W pixels.
"""

import functools

import cv2
import numpy as np

from starter.data.demo.traits import View

FRACTION_BITS = 6  # opencv takes coordinates as integers with this many binary places
LEAST_WIDTH = 0.7  # pixels: a thinner line would come and go
HEAD_HEIGHT = 0.325  # half a head, as a share of the picture's side


class Canvas:
    """A square picture that draws points (x, y) of a head as `view` shows them.

    image_HW3: uint8 RGB, drawn into.
    """

    def __init__(self, side: int, view: View, head_width: float):
        self.side = side
        self.image_HW3 = np.zeros((side, side, 3), np.uint8)
        self.unit = HEAD_HEIGHT * side * view.scale
        self._head_width = head_width
        self._sin_cos = [(np.sin(a), np.cos(a)) for a in (view.yaw, view.pitch, view.roll)]
        self._middle = (np.array([0.5, 0.53]) + view.shift) * side

    def project(self, points_N2, depth=None) -> np.ndarray:
        """Pixels of points, float (N, 2). depth: z, one or N; None: on the face, an ellipsoid."""
        x, y = np.asarray(points_N2, float).T
        aside = x / self._head_width
        on_face = 0.8 * np.sqrt(np.maximum(0.02, 1 - 0.9 * aside * aside - 0.7 * y * y))
        z = on_face if depth is None else depth
        (sin, cos), (sin_up, cos_up), _ = self._sin_cos
        x, z = x * cos + z * sin, z * cos - x * sin
        y = y * cos_up - z * sin_up
        return self._place(x, y)

    def outline(self, points_N2) -> np.ndarray:
        """Pixels of the edge of the head and of what hangs around it.

        A head is about as deep as wide: turning does not narrow it, only the chin moves aside.
        """
        x, y = np.asarray(points_N2, float).T
        (sin, _), (sin_up, _), _ = self._sin_cos
        x = x + 0.22 * sin * (0.4 + y)
        y = y - 0.25 * sin_up * np.minimum(np.maximum(y + 0.3, 0), 1)
        return self._place(x, y)

    def _place(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        sin, cos = self._sin_cos[2]
        (right, down), unit = self._middle, self.unit
        return xy(unit * (x * cos - y * sin) + right, unit * (x * sin + y * cos) + down)

    def fill(self, pixels_N2: np.ndarray, colour, image: np.ndarray | None = None) -> None:
        """Fills a polygon, its edge smoothed."""
        target = self.image_HW3 if image is None else image
        # opencv's fixed point has its zero in the middle of a pixel
        fixed_N2 = ((pixels_N2 - 0.5) * 2**FRACTION_BITS + 0.5).astype(np.int32)
        rgb = np.clip(np.asarray(colour, float), 0, 255).tolist()
        cv2.fillPoly(target, [fixed_N2], rgb, cv2.LINE_AA, FRACTION_BITS)

    def stroke(self, pixels_N2: np.ndarray, colour, width: float, closed: bool = False) -> None:
        """Draws along points, `width` in head units, its ends round: a polygon of its own, as
        opencv's lines have whole pixels of width."""
        if closed:
            pixels_N2 = np.concatenate([pixels_N2, pixels_N2[:2]])
        along = np.empty_like(pixels_N2)
        along[1:-1] = pixels_N2[2:] - pixels_N2[:-2]
        along[0], along[-1] = pixels_N2[1] - pixels_N2[0], pixels_N2[-1] - pixels_N2[-2]
        length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
        half = max(width * self.unit, LEAST_WIDTH) / 2 / length
        aside = xy(-along[:, 1] * half, along[:, 0] * half)
        self.fill(np.concatenate([pixels_N2 + aside, (pixels_N2 - aside)[::-1]]), colour)

    def dot(self, pixel_2: np.ndarray, radius: float, colour) -> None:
        """Fills a disc, `radius` in head units."""
        self.fill(pixel_2 + circle(20) * radius * self.unit, colour)

    def head_frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Every pixel's place in head units before turning: x_HW and y_HW."""
        sin_in, cos_in = self._sin_cos[2]
        y, x = np.mgrid[: self.side, : self.side].astype(np.float32)
        x, y = (x - self._middle[0]) / self.unit, (y - self._middle[1]) / self.unit
        return x * cos_in + y * sin_in, y * cos_in - x * sin_in


def xy(x, y) -> np.ndarray:
    """Points from their coordinates, N of them or one number: float (N, 2)."""
    points_N2 = np.empty((np.size(x), 2))
    points_N2[:, 0], points_N2[:, 1] = x, y
    return points_N2


@functools.cache
def circle(points: int) -> np.ndarray:
    """Points on the unit circle, float (N, 2)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return xy(np.cos(angle), np.sin(angle))


def lit(canvas: Canvas, view: View, head: np.ndarray) -> np.ndarray:
    """Shades the head as an ellipsoid and the rest as a wall: float32 (H, W, 3)."""
    x, y = canvas.head_frame()
    side_x, side_y = x / 0.85, y / 1.1
    facing = np.sqrt(np.maximum(0.08, 1 - side_x**2 - side_y**2))
    light_x, light_y = view.light
    round_ = side_x * light_x + side_y * light_y
    on_head = 0.25 * facing + 0.55 * round_ + 0.72
    wall = 1 + 0.12 * (x * light_x + y * light_y)
    mask = np.zeros((canvas.side, canvas.side), np.uint8)
    canvas.fill(head, (255, 255, 255), mask)
    share = cv2.GaussianBlur(mask, (0, 0), 0.02 * canvas.side).astype(np.float32) / 255
    shade = 1 + view.contrast * (wall + (on_head - wall) * share - 1)
    cast = np.array([1 + view.warmth, 1.0, 1 - view.warmth], np.float32) * view.gain
    return canvas.image_HW3 * (shade[..., None] * cast)


def photographed(image_HW3: np.ndarray, view: View, size: int) -> np.ndarray:
    """The picture at its final size, blurred and grainy as the view is: uint8 (size, size, 3)."""
    side = len(image_HW3)
    image_HW3 = np.clip(image_HW3, 0, 255).astype(np.float32)
    if view.blur * side > 0.3:
        image_HW3 = cv2.GaussianBlur(image_HW3, (0, 0), view.blur * side)
    image_HW3 = cv2.resize(image_HW3, (size, size), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(view.noise_seed).normal(0, view.noise, image_HW3.shape)
    return np.clip(np.round(image_HW3 + grain), 0, 255).astype(np.uint8)
