"""Somebody else's archive unpacked: every name and size is judged before a byte is written."""

import os
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from starter.errors import UserError

PIECE = 2**20  # bytes copied at once
SPARE = 2**28  # bytes of the disk that stay free: a full one breaks more than this command
DRIVE = re.compile(r"[A-Za-z]:")


class Damaged(Exception):
    """The archive is cut, or its contents do not have the sums that it states."""


class File(NamedTuple):
    """A file of an archive: bytes, CRC-32, and its path below the target, with forward slashes."""

    size: int
    crc: int
    path: str


def unpack(archive: Path, place: Path, *, replace: bool = False) -> list[File]:
    """Unpacks a zip into a folder and returns what the folder then holds of it.

    A file that is there already with the same size and CRC is left alone, so that an interrupted
    unpacking goes on. Each file is written beside and renamed once its CRC is right.

    Args:
        replace: files that are there and differ are replaced; else they are the user's, refused.
    Raises:
        Damaged: no zip, cut, or a wrong CRC; files before the damaged one are written.
        UserError: a member that would be written outside (absolute, "..", a drive letter, through a
            link), is a link, is encrypted, or is there twice; more bytes than the disk has free; a
            file that is there and differs. Nothing is written then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            found = judge(archive, opened.infolist())
            _refuse_links(place, found.values())
            missing = _missing(place, found, replace)
            _refuse_full(archive, place, sum(file.size for _, file in missing))
            for info, file in missing:
                _write(opened, info, place / file.path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Damaged(str(error) or type(error).__name__) from error
    return list(found.values())


def judge(archive: Path, infos: list[zipfile.ZipInfo]) -> dict[zipfile.ZipInfo, File]:
    """The files of an archive; UserError at the first that must not be unpacked."""
    found: dict[zipfile.ZipInfo, File] = {}
    seen: set[str] = set()
    for info in infos:
        name = info.filename.replace("\\", "/")
        fault = _fault(info, name)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        path = "/".join(parts)
        if fault is None and not parts and not name.endswith("/"):
            fault = "it has no name"
        if fault is None and not info.is_dir() and not name.endswith("/"):
            fault = "it is there twice" if path in seen else None
            seen.add(path)
            found[info] = File(info.file_size, info.CRC, path)
        if fault is not None:
            raise UserError(
                f"{archive}: {info.filename!r} is not unpacked: {fault}; nothing was written"
            )
    folders = {path.rpartition("/")[0] for path in seen}
    while folders:
        both = folders & seen
        if both:
            raise UserError(f"{archive}: {min(both)!r} is a file and a folder; nothing was written")
        folders = {path.rpartition("/")[0] for path in folders if "/" in path}
    return found


def _fault(info: zipfile.ZipInfo, name: str) -> str | None:
    """Why a member must not be unpacked. `name`: with forward slashes."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.startswith("/") or DRIVE.match(name):
        return "its path is absolute"
    if ".." in name.split("/"):
        return "its path leads outside"
    if any(ord(letter) < 32 for letter in name):
        return "its name holds a control character"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link" if kind == stat.S_IFLNK else "it is no file"
    return "it is encrypted" if info.flag_bits & 1 else None


def _refuse_links(place: Path, files) -> None:
    """UserError where a folder that is there already is a link: what is below it lies elsewhere."""
    folders = {file.path.rpartition("/")[0] for file in files} - {""}
    while folders:
        for folder in sorted(folders):
            if (place / folder).is_symlink():
                raise UserError(
                    f"{place / folder} is a link: what is unpacked there would lie "
                    "outside; give the folder itself with --to"
                )
        folders = {folder.rpartition("/")[0] for folder in folders} - {""}


def _missing(
    place: Path, found: dict[zipfile.ZipInfo, File], replace: bool
) -> list[tuple[zipfile.ZipInfo, File]]:
    """The files that are not there yet, or differ and may be replaced."""
    missing = []
    for info, file in found.items():
        target = place / file.path
        if _same(target, file):
            continue
        if not replace and os.path.lexists(target):
            raise UserError(
                f"{target} is there already and is not what the archive holds: move it away, "
                "unpack elsewhere with --to DIR, or replace it with --force"
            )
        missing.append((info, file))
    return missing


def _same(target: Path, file: File) -> bool:
    """Whether a file is there with that size and sum."""
    try:
        if target.is_symlink() or target.stat().st_size != file.size:
            return False
        crc = 0
        with open(target, "rb") as opened:
            while piece := opened.read(PIECE):
                crc = zlib.crc32(piece, crc)
    except OSError:
        return False
    return crc == file.crc


def _refuse_full(archive: Path, place: Path, needed: int) -> None:
    place.mkdir(parents=True, exist_ok=True)
    refuse_without_room(place, needed, f"{archive} unpacks to")


def refuse_without_room(place: Path, needed: int, what: str) -> None:
    """UserError when the disk has not so many bytes free, and SPARE. `place`: a folder there is."""
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


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """Never more bytes than the member states: zipfile stops there, and its sum is then wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".{os.getpid()}.part"
    try:
        with opened.open(info) as source, open(beside, "wb") as sink:
            shutil.copyfileobj(source, sink, PIECE)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
