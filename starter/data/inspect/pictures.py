"""One pass over the images: size, mode, sum of bytes, and a small picture to compare; then the
twins, of equal bytes or nearly equal to look at.

Shapes: N items, S pixels of a small picture, T pairs of twins.
"""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from starter.data.catalog import Catalog
from starter.data.decode import decode, opencv_in_threads, read_file
from starter.errors import UserError

SMALL = 8  # pixels a side of the small picture
CHUNK = 512
THREADS = 8  # more than cores: a file that is not in memory yet is waited for
BAD = -1
NEAR = 2.0  # mean difference of the small pictures, in grey levels of 255
PART = 0.05  # and as a part of their deviation: drawings are mostly ground, which differs nowhere
FLAT = 4.0  # deviation below which a picture shows nothing to compare
BANDS = 4  # the small picture's quarters, of which near twins share a rough one
MOST = 64  # compared with so many others that look alike: blank pictures would be a million pairs


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
    """How an image file holds colour, as PIL calls it ("RGB", "L", "CMYK", ...)."""
    try:
        return Image.open(io.BytesIO(data)).mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "unknown"


def byte_twins(sum_N: np.ndarray, valid_N: np.ndarray) -> np.ndarray:
    """twin_T2: items of equal bytes, each with the first of its kind."""
    items = np.flatnonzero(valid_N)
    order = items[np.argsort(sum_N[items], kind="stable")]
    _, start, size = np.unique(sum_N[order], return_index=True, return_counts=True)
    first = np.repeat(order[start], size)
    return np.stack([first, order], axis=1)[first != order]


def near_twins(small_NS: np.ndarray, valid_N: np.ndarray) -> np.ndarray:
    """twin_T2: pairs whose small pictures differ by at most NEAR on average, and by at most PART of
    the deviation of either (first < second).

    Candidates share a rough form of a quarter of the picture: which of its pixels are brighter
    than its mean, so that another brightness or compression hides little. Of many alike each is
    compared with the MOST that follow it, so this finds groups, not every pair in them.
    """
    spread_N = small_NS.std(axis=1)
    items = np.flatnonzero(valid_N & (spread_N > FLAT))
    near = [np.empty((0, 2), np.int64)]
    width = small_NS.shape[1] // BANDS
    for band in range(BANDS):
        part = small_NS[items, band * width : (band + 1) * width]
        bits = np.packbits(part > part.mean(axis=1, keepdims=True), axis=1)
        key = bits.astype(np.uint64) @ (256 ** np.arange(bits.shape[1], dtype=np.uint64))
        order = np.argsort(key, kind="stable")
        for ahead in range(1, MOST + 1):
            same = np.flatnonzero(key[order[ahead:]] == key[order[:-ahead]])
            if not len(same):
                break
            pair_T2 = np.sort(np.stack([items[order[same]], items[order[same + ahead]]], axis=1))
            for start in range(0, len(same), 65536):
                part_T2 = pair_T2[start : start + 65536]
                near.append(part_T2[_close(small_NS, spread_N, *part_T2.T)])
    return np.unique(np.concatenate(near), axis=0)


def _close(small_NS: np.ndarray, spread_N: np.ndarray, a_T, b_T) -> np.ndarray:
    difference = np.abs(small_NS[a_T].astype(np.int16) - small_NS[b_T]).mean(axis=1)
    return difference <= np.minimum(NEAR, PART * np.minimum(spread_N[a_T], spread_N[b_T]))
