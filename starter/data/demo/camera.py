"""Light on the drawn head, and the camera that takes its picture.

Shapes: H W pixels.
"""

import cv2
import numpy as np

from starter.data.demo.canvas import Canvas
from starter.data.demo.traits import View


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
