"""Images decoded once, resized, side by side in one uint8 file.

Beside `<name>.u8` lies `<name>.json`: the shape, a digest of the sources' sizes and times, and
checksums. A pack is used only if all of that stands; otherwise it is built anew.

Shapes: N items, H W image, C channels.
"""

import logging
import math
import os
import shutil
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from tqdm.auto import tqdm

from starter.data.catalog import Catalog
from starter.data.decode import fit, opencv_in_threads
from starter.data.workers import ahead
from starter.distributed import cores
from starter.errors import UserError
from starter.files import is_disk_full, read_json, replacing, write_json
from starter.recipe.schema.base import Size, sides
from starter.recipe.schema.data import Fit

log = logging.getLogger(__name__)

VERSION = 1  # raise it when the same files would give other pixels
BLOCK = 64  # images decoded by one task, and covered by one checksum
CHECKED_BYTES = 256 << 20  # checksums verified when a pack is opened: about 0.2 s
STALE_PART = 900  # seconds since the last write after which a file is a killed process's
NAMED = 5  # undecodable images named in the message


def load_pack(
    catalog: Catalog, image_size: Size, channels: int, cache: str | Path, how: Fit = "squash"
) -> np.memmap:
    """The catalog's images as a read-only memory map, uint8 (N, height, width, channels).

    It is built in `cache` where missing, damaged, or older than a source that changed. Processes
    may do so at once: each writes a file of its own, and the last to finish replaces it whole.

    Args:
        image_size: pixels a side, or height and width.
        channels: 3 for RGB, 1 for grey.
        how: an image of another aspect ratio is fitted (`data.fit`).
    Raises:
        UserError: images that cannot be decoded (naming up to five); a cache that is full or not
            writable. Nothing half-written stays.
    """
    folder = Path(os.path.expandvars(cache)).expanduser()
    shape = (len(catalog), *sides(image_size), channels)
    size = image_size if isinstance(image_size, int) else "{}x{}".format(*image_size)
    name = f"{catalog.place()[:16]}-{size}x{channels}"
    header = {"version": VERSION, "shape": list(shape), "sources": catalog.sources()}
    if how != "squash":  # packs from before there was a choice stay valid
        name, header = f"{name}-{how}", header | {"fit": how}
    path = folder / f"{name}.u8"
    if not _is_current(path, header):
        _build(catalog, path, header, how)
    return np.memmap(path, np.uint8, "r", shape=shape)


def _is_current(path: Path, header: dict) -> bool:
    """Whether a whole pack of these very sources lies at path, by its size and the checksums of
    evenly spread blocks: of all of them in a small pack."""
    try:
        known = read_json(path.with_suffix(".json"))
        if {key: known.get(key) for key in header} != header:
            return False
        if path.stat().st_size != math.prod(header["shape"]):
            return False
        checksums, block_bytes = known["checksums"], BLOCK * math.prod(header["shape"][1:])
        most = min(len(checksums), max(2, CHECKED_BYTES // block_bytes))
        with path.open("rb") as file:
            for block in np.unique(np.linspace(0, len(checksums) - 1, most).astype(int)).tolist():
                file.seek(block * block_bytes)
                if zlib.crc32(file.read(block_bytes)) != checksums[block]:
                    return False
        return True
    except (OSError, UserError):
        return False


def _build(catalog: Catalog, path: Path, header: dict, how: Fit) -> None:
    """The pack, then the json: a crash in between leaves a json whose checksums do not fit."""
    needed, started = math.prod(header["shape"]), time.monotonic()
    count, high, wide = header["shape"][:3]
    full = f"the disk is full: the packed images need {needed / 1e6:.0f} MB"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for part in path.parent.glob("*.part"):  # which killed processes left
            with suppress(OSError):  # another process may just have removed it, or have it open
                if time.time() - part.stat().st_mtime > STALE_PART:
                    part.unlink()
        if shutil.disk_usage(path.parent).free < needed:
            raise UserError(f"data.cache: {path.parent}: {full}; name another folder")
        log.info(
            "packing %d images at %d x %d into %s (%.0f MB)", count, high, wide, path, needed / 1e6
        )
        with replacing(path) as file:
            checksums = _write_images(catalog, header["shape"], how, file)
        write_json(path.with_suffix(".json"), header | {"checksums": checksums})
    except OSError as error:
        reason = full if is_disk_full(error) else f"cannot be written ({error.strerror})"
        raise UserError(f"data.cache: {path.parent}: {reason}; name another folder") from error
    log.info("packed %d images in %.1f s", count, time.monotonic() - started)


def _write_images(catalog: Catalog, shape: list[int], how: Fit, file: IO[bytes]) -> list[int]:
    """Writes every image in order; returns a checksum per block. UserError if any is bad."""
    checksums: list[int] = []
    faults: list[str] = []
    quiet = not sys.stderr.isatty() and "ipykernel" not in sys.modules  # log lines say it there
    with tqdm(total=shape[0], desc="packing", unit="image", leave=False, disable=quiet) as bar:
        for image_bHWC, wrong in _decode(catalog, shape, how):
            faults += wrong
            if not faults:  # no use in writing on, but the others should be named too
                data = image_bHWC.tobytes()
                checksums.append(zlib.crc32(data))
                file.write(data)
            bar.update(len(image_bHWC))
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        total = f"{len(faults)} of {shape[0]} images cannot be used: " if len(faults) > 1 else ""
        raise UserError(total + "; ".join(faults[:NAMED]) + more)
    return checksums


def _decode(catalog: Catalog, shape: list[int], how: Fit) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Blocks in order, image_bHWC, and what is wrong with those that could not be decoded.

    Threads are enough: opencv releases the interpreter while it decodes.
    """

    def decode(start: int) -> tuple[np.ndarray, list[str]]:
        stop = min(start + BLOCK, len(catalog))
        image_bHWC = np.zeros((stop - start, *shape[1:]), np.uint8)
        faults = []
        for i in range(start, stop):
            try:
                image_bHWC[i - start] = fit(catalog.image(i), (shape[1], shape[2]), shape[3], how)
            except UserError as error:
                faults.append(str(error))
        return image_bHWC, faults

    threads = min(32, cores() + 4)  # a few more than cores: reading waits for disks
    with opencv_in_threads():  # results in advance are bounded: decoded, but not yet written
        yield from ahead(decode, range(0, len(catalog), BLOCK), 2 * threads, threads)
