"""Image files -> uint8 RGB arrays: opencv first, PIL for what opencv cannot read.

Shapes: H W image, C channels (3 RGB, 1 grey).
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from starter.errors import UserError
from starter.recipe.schema.base import Size, sides
from starter.recipe.schema.data import Fit

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
START_OF_SCAN = 0xDA
SILENT = 0  # of opencv's log levels
PNG_START = b"\x89PNG\r\n\x1a\n"


def read_image(path: Path) -> np.ndarray:
    """A file as uint8 (H,W,3) RGB, as torchvision's folder reader would show it.

    EXIF rotation is applied, grey, palette and CMYK become RGB, alpha is dropped, 16 bits become
    8 by their high byte.

    Raises:
        UserError: naming the path: absent, empty, truncated, or no image.
    """
    return decode(read_file(path), path)


def read_file(path: Path | str) -> bytes:
    """A file's bytes; UserError naming it where it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for, /dev/zero read on
            raise UserError(f"{path}: no regular file, but a pipe, a device or a folder")
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def decode(data: bytes, path: Path | str) -> np.ndarray:
    """What `read_image` makes of a file, of its bytes; `path` is for messages."""
    fault = _fault(data)
    if fault is not None:
        raise UserError(f"{path}: {fault}")
    for decoder in (_decode_opencv, _decode_pil):
        image = decoder(data)
        if image is not None:
            return image
    raise UserError(f"{path}: cannot be decoded as an image (damaged, or of another kind)")


def fit(image_HWC: np.ndarray, image_size: Size, channels: int, how: Fit = "squash") -> np.ndarray:
    """An RGB image as uint8 (height, width, channels).

    image_size: pixels a side, or height and width. how: "squash" changes the aspect ratio; "pad"
    keeps it and fills up with black on both sides alike; "crop" keeps it and takes the largest
    part in the middle.
    """
    import cv2

    (height, width), (high, wide) = image_HWC.shape[:2], sides(image_size)
    if how == "crop":
        tall = min(height, max(1, round(width * high / wide)))
        long = min(width, max(1, round(height * wide / high)))
        top, left = (height - tall) // 2, (width - long) // 2
        image_HWC = image_HWC[top : top + tall, left : left + long]
    if how == "pad":
        scale = min(high / height, wide / width)
        tall, long = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (high - tall) // 2, (wide - long) // 2
        padded_HWC = np.zeros((high, wide, 3), np.uint8)
        padded_HWC[top : top + tall, left : left + long] = _resized(image_HWC, tall, long)
        image_HWC = padded_HWC
    image_HWC = _resized(image_HWC, high, wide)
    if channels == 1:
        return cv2.cvtColor(image_HWC, cv2.COLOR_RGB2GRAY)[..., None]
    return image_HWC


def _resized(image_HWC: np.ndarray, high: int, wide: int) -> np.ndarray:
    """A side that shrinks is averaged over areas, one that grows is interpolated linearly."""
    import cv2

    height, width = image_HWC.shape[:2]
    smaller = (min(width, wide), min(height, high))
    if smaller != (width, height):
        image_HWC = cv2.resize(image_HWC, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (wide, high):
        image_HWC = cv2.resize(image_HWC, (wide, high), interpolation=cv2.INTER_LINEAR)
    return image_HWC


@contextmanager
def opencv_in_threads() -> Iterator[None]:
    """One thread per opencv call, and no messages of its own; both as before afterwards.

    Many small images are decoded by threads of ours: opencv's own would only get in their way.
    Whatever it cannot decode is raised with its path, so its messages would say it twice.
    """
    import cv2

    messages: Any = getattr(cv2.utils, "logging", cv2)  # where 4.13 has them, and where 4.12 had
    threads, level = cv2.getNumThreads(), messages.getLogLevel()
    cv2.setNumThreads(1)
    messages.setLogLevel(SILENT)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        messages.setLogLevel(level)


def _fault(data: bytes) -> str | None:
    """What can be told without decoding: some opencv versions fill a cut image up with grey."""
    if not data:
        return "empty file (0 bytes)"
    if data.startswith(JPEG_START) and not _jpeg_is_whole(data):
        return "truncated JPEG (no end marker); fetch it again"
    if data.startswith(PNG_START) and b"IEND" not in data[-4096:] and b"IEND" not in data:
        return "truncated PNG (no end chunk); fetch it again"
    return None


def _jpeg_is_whole(data: bytes) -> bool:
    """Whether an end marker follows the first scan: an EXIF thumbnail before it has its own."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break  # no marker where one should be: only a decoder can tell
        marker = data[at + 1]
        if marker == START_OF_SCAN:
            break
        # 0xFF before a marker is padding; every other segment here states its length.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(JPEG_END, at) >= 0


def _decode_opencv(data: bytes) -> np.ndarray | None:
    import cv2

    try:
        image_HWC = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image_HWC is None else cv2.cvtColor(image_HWC, cv2.COLOR_BGR2RGB)


def _decode_pil(data: bytes) -> np.ndarray | None:
    from PIL import Image, ImageOps

    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
