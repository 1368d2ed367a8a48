"""Views of an image for test-time averaging.

Shapes: B of a batch, C channels, H W pixels (square).
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

Views = list[torch.Tensor]
MOVED = 16  # a shift is 1/16 of a side
CROPPED = 7 / 8  # of a side, what zoom and corners keep


def views(image_BCHW: torch.Tensor, names: Sequence[str]) -> Views:
    """The plain images and those that the names ask for, each (B,C,H,W).

    names: of `verify.tta`. With "hflip" every other view is mirrored as well.
    """
    found = [image_BCHW]
    for name, make in MAKERS.items():
        found += make(image_BCHW) if name in names else []
    return found + ([view.flip(3) for view in found] if "hflip" in names else [])


def _shift(image_BCHW: torch.Tensor) -> Views:
    """Up, down, left, right; the outermost pixels are repeated."""
    side = image_BCHW.shape[-1]
    by = max(1, round(side / MOVED))
    wide_BCHW = functional.pad(image_BCHW, (by, by, by, by), mode="replicate")
    starts = ((2 * by, by), (0, by), (by, 2 * by), (by, 0))
    return [wide_BCHW[:, :, y : y + side, x : x + side] for y, x in starts]


def _zoom(image_BCHW: torch.Tensor) -> Views:
    """The middle, enlarged."""
    side, kept = image_BCHW.shape[-1], _kept(image_BCHW)
    at = (side - kept) // 2
    return [_enlarged(image_BCHW, at, at)]


def _corners(image_BCHW: torch.Tensor) -> Views:
    """The four corners, enlarged."""
    end = image_BCHW.shape[-1] - _kept(image_BCHW)
    return [_enlarged(image_BCHW, y, x) for y in (0, end) for x in (0, end)]


def _kept(image_BCHW: torch.Tensor) -> int:
    return round(image_BCHW.shape[-1] * CROPPED)


def _enlarged(image_BCHW: torch.Tensor, y: int, x: int) -> torch.Tensor:
    side, kept = image_BCHW.shape[-1], _kept(image_BCHW)
    part_BCHW = image_BCHW[:, :, y : y + kept, x : x + kept]
    return functional.interpolate(part_BCHW, (side, side), mode="bilinear", align_corners=False)


MAKERS: dict[str, Callable[[torch.Tensor], Views]] = {
    "shift": _shift,
    "zoom": _zoom,
    "corners": _corners,
}
