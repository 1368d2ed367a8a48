"""One pass over the images: size, mode, sum of bytes, and a small picture to compare.

Shapes: N items, S pixels of a small picture.
"""

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from starter.data.catalog import Catalog
from starter.data.decode import opencv_in_threads
from starter.recipe import UserError

SMALL = 8  # pixels a side of the small picture
CHUNK = 512
BAD = -1


class Pictures(NamedTuple):
    """What every item's picture is; nothing of those that cannot be decoded.

    size_N2: height, width (BAD where undecodable). mode_N: index into `modes`. sum_N: 64 bits of
    the bytes' sha256. small_NS: grey means of a grid. faults: (item, what is wrong).
    """

    size_N2: np.ndarray
    mode_N: np.ndarray
    modes: list[str]
    sum_N: np.ndarray
    small_NS: np.ndarray
    faults: list[tuple[int, str]]


def look(catalog: Catalog, threads: int = 2) -> Pictures:
    """Reads every image once; memory is 90 bytes an image."""
    count = len(catalog)
    found = Pictures(
        np.full((count, 2), BAD, np.int32), np.zeros(count, np.uint8), [],
        np.zeros(count, np.uint64), np.zeros((count, SMALL * SMALL), np.uint8), [],
    )  # fmt: skip
    number: dict[str, int] = {}
    with opencv_in_threads(), ThreadPoolExecutor(threads) as pool:
        for i, seen in enumerate(_in_order(pool, catalog)):
            if isinstance(seen, str):
                found.faults.append((i, seen))
                continue
            size, mode, found.sum_N[i], found.small_NS[i] = seen
            found.size_N2[i] = size
            found.mode_N[i] = number.setdefault(mode, len(number))
    found.modes.extend(number)
    return found


def _in_order(pool: ThreadPoolExecutor, catalog: Catalog) -> Iterator:
    """_look at every item, a few chunks ahead of whoever takes them."""
    starts = range(0, len(catalog), CHUNK)
    waiting: list = []
    for start in starts:
        part = range(start, min(start + CHUNK, len(catalog)))
        waiting.append(pool.submit(_look_at, catalog, part))
        if len(waiting) > 4:
            yield from waiting.pop(0).result()
    for done in waiting:
        yield from done.result()


def _look_at(catalog: Catalog, part: range) -> list:
    return [_look(catalog, i) for i in part]


def _look(catalog: Catalog, i: int):
    """(size, mode, sum, small picture) of an item, or what is wrong with it."""
    import cv2

    try:
        if catalog.array_N is not None:
            image, data = catalog.array_N[i], np.ascontiguousarray(catalog.array_N[i]).tobytes()
            mode = "grey" if image.ndim == 2 else "RGB"
        else:
            data, image = catalog.path(i).read_bytes(), catalog.image(i)
            mode = _mode(data)
    except (UserError, OSError) as error:
        return str(error)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    total = np.frombuffer(hashlib.sha256(data).digest()[:8], np.uint64)[0]
    return image.shape[:2], mode, total, small.ravel()


def _mode(data: bytes) -> str:
    """How the file holds colour, as PIL calls it ("RGB", "L", "CMYK", ...)."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data)).mode
    except (OSError, ValueError, SyntaxError):
        return "unknown"
