"""Somebody else's archive unpacked: names and sizes are checked before a byte is written."""

import os
import posixpath
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from starter.errors import UserError
from starter.files import replacing

PIECE = 2**20  # bytes copied at once
SPARE = 2**28  # bytes of the disk that stay free: a full one breaks more than this command


class Damaged(Exception):
    """The archive is cut, or its contents do not have the checksums that it states."""


class File(NamedTuple):
    """A file of an archive: bytes, CRC-32, and its path below the target, with forward slashes."""

    size: int
    crc: int
    path: str


def unpack(archive: Path, place: Path, *, replace: bool = False) -> list[File]:
    """Unpacks a zip into a folder and returns what the folder then holds of it.

    A file that exists with the same size and CRC is left alone, so that an interrupted unpacking
    continues. Each file appears once its CRC is right.

    Args:
        replace: replace existing files that differ; else they are the user's, and refused.
    Raises:
        Damaged: no zip, cut, or a wrong CRC; files before the damaged one are written.
        UserError: a member would be written outside the folder (absolute, "..", through a link);
            more bytes than the disk has free; an existing file differs. Nothing is written then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
            files = [File(i.file_size, i.CRC, _inside(archive, place, i.filename)) for i in infos]
            missing = [
                (info, place / file.path)
                for info, file in zip(infos, files, strict=True)
                if _is_missing(place / file.path, file, replace)
            ]
            place.mkdir(parents=True, exist_ok=True)
            needed = sum(info.file_size for info, _ in missing)
            refuse_without_room(place, needed, f"{archive} unpacks to")
            for info, target in missing:
                target.parent.mkdir(parents=True, exist_ok=True)
                # zipfile stops at the stated size, where the checksum is then wrong
                with opened.open(info) as source, replacing(target) as sink:
                    shutil.copyfileobj(source, sink, PIECE)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise Damaged(str(error) or type(error).__name__) from error
    return files


def _inside(archive: Path, place: Path, name: str) -> str:
    """The path of a member below the folder. UserError where it leads outside."""
    path = posixpath.normpath(name.replace("\\", "/"))
    folder = (place / path).parent.resolve()
    if path.split("/")[0] in ("", "..") or not folder.is_relative_to(place.resolve()):
        raise UserError(f"{archive}: {name!r} leads outside {place}; nothing was written")
    return path


def _is_missing(target: Path, file: File, replace: bool) -> bool:
    """Whether a file must be written. UserError where another one exists."""
    if not os.path.lexists(target):
        return True
    if not target.is_symlink() and target.is_file() and target.stat().st_size == file.size:
        crc = 0
        with open(target, "rb") as opened:
            while piece := opened.read(PIECE):
                crc = zlib.crc32(piece, crc)
        if crc == file.crc:
            return False
    if not replace:
        raise UserError(
            f"{target} exists and differs from the archive: move it away, unpack elsewhere with "
            "--to DIR, or replace it with --force"
        )
    return True


def refuse_without_room(place: Path, needed: int, what: str) -> None:
    """UserError when the disk has less than that many bytes and SPARE free."""
    free = shutil.disk_usage(place).free
    if needed + SPARE > free:
        raise UserError(
            f"{what} {in_words(needed)} more, and the disk of {place} has {in_words(free)} free: "
            "make room, or give a folder on another disk with --to DIR"
        )


def in_words(size: int) -> str:
    """Bytes as a person reads them."""
    for unit, bytes_each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_each:
            return f"{size / bytes_each:.1f} {unit}"
    return f"{size} bytes"
