"""One pass over the images: size, mode, sum of bytes, and a small picture to compare.

Shapes: N items, S pixels of a small picture.
"""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple

import numpy as np

from starter.data.catalog import Catalog
from starter.data.decode import JPEG_START, PNG_START, decode, opencv_in_threads, read_file
from starter.errors import UserError

SMALL = 8  # pixels a side of the small picture
CHUNK = 512
THREADS = 8  # more than cores: a file that is not in memory yet is waited for
BAD = -1
JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}  # by the number of components
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # by colour type, at 8 bits


class Pictures(NamedTuple):
    """What every item's picture is; nothing of those that cannot be decoded.

    size_N2: height, width (BAD where undecodable). modes: of those that can be decoded, as PIL
    names them. sum_N: 64 bits of the bytes' sha256. small_NS: grey means of a grid. faults: (item,
    what is wrong).
    """

    size_N2: np.ndarray
    modes: list[str]
    sum_N: np.ndarray
    small_NS: np.ndarray
    faults: list[tuple[int, str]]


def look(catalog: Catalog, threads: int = THREADS) -> Pictures:
    """Reads every image once; memory is 90 bytes an image."""
    count = len(catalog)
    pictures = Pictures(
        np.full((count, 2), BAD, np.int32),
        [],
        np.zeros(count, np.uint64),
        np.zeros((count, SMALL * SMALL), np.uint8),
        [],
    )

    def look_at(start: int) -> list:
        return [_look(catalog, i) for i in range(start, min(start + CHUNK, count))]

    with opencv_in_threads(), ThreadPoolExecutor(threads) as pool:
        for i, seen in enumerate(chain.from_iterable(pool.map(look_at, range(0, count, CHUNK)))):
            if isinstance(seen, str):
                pictures.faults.append((i, seen))
                continue
            pictures.size_N2[i], mode, pictures.sum_N[i], pictures.small_NS[i] = seen
            pictures.modes.append(mode)
    return pictures


def _look(catalog: Catalog, i: int):
    """(size, mode, sum, small picture) of an item, or what is wrong with it."""
    import cv2

    try:
        if catalog.array_N is not None:
            image, data = catalog.array_N[i], np.ascontiguousarray(catalog.array_N[i]).tobytes()
            mode = "L" if image.ndim == 2 else "RGB"
        else:
            path = f"{catalog.root}/{catalog.names[i]}"
            data = read_file(path)
            image, mode = decode(data, path), mode_of(data)
    except UserError as error:
        return str(error)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    total = np.frombuffer(hashlib.sha256(data).digest()[:8], np.uint64)[0]
    return image.shape[:2], mode, total, small.ravel()


def mode_of(data: bytes) -> str:
    """How an image file holds colour, as PIL calls it ("RGB", "L", "CMYK", ...).

    The header of an ordinary JPEG or PNG says it; PIL, which takes as long as decoding a small
    picture, is asked of the others.
    """
    mode = None
    if data.startswith(JPEG_START):
        mode = JPEG_MODES.get(_jpeg_components(data))
    elif data.startswith(PNG_START):
        mode = PNG_MODES.get(data[25]) if data[24:25] == b"\x08" else None
    if mode:
        return mode
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data)).mode
    except (OSError, ValueError, SyntaxError):
        return "unknown"


def _jpeg_components(data: bytes) -> int:
    """How many colours the frame header counts; 0 where there is none."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 9]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0
