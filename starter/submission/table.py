"""A submission as a table of text: read strictly, written whole or not at all."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starter.errors import UserError
from starter.files import replacing

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Table:
    """Rows ready to write, (id, label) text; `note` says how the sample was read."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    """A csv file as read: `line_R` is the line of the file on which each row ends, from 1."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    line_R: list[int]
    bom: bool
    size: int


class Unreadable(UserError):
    """A file that is no csv at all; `line` is where."""

    def __init__(self, code: str, message: str, line: int | None = None):
        super().__init__(message)
        self.code, self.line = code, line


def read_sheet(path: Path) -> Sheet:
    """Reads a csv file; every field is text, blank lines are skipped, a BOM is noted and dropped.

    Raises:
        Unreadable: absent, empty, not UTF-8, or broken quoting; the message lacks the path.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Unreadable("file", error.strerror or str(error)) from error
    body = raw.removeprefix(BOM)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Unreadable("encoding", "not UTF-8; save it as UTF-8 without BOM", line) from error
    rows, line_R = [], []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                rows.append(row)
                line_R.append(reader.line_num)
    except csv.Error as error:
        raise Unreadable("syntax", f"not a csv file: {error}", reader.line_num) from error
    if not rows:
        raise Unreadable("empty", "the file is empty")
    return Sheet(path, rows[0], rows[1:], line_R[1:], raw.startswith(BOM), len(raw))


def read_sample(path: str | Path) -> Sheet:
    """Reads a sample submission. UserError naming the path when it is no table with rows."""
    path = Path(path)
    try:
        sheet = read_sheet(path)
    except Unreadable as error:
        place = f"{path}, line {error.line}" if error.line else f"{path}"
        raise UserError(f"{place}: {error}") from error
    if not sheet.rows:
        raise UserError(f"{path}: the sample has a header but no rows, so no ids to answer")
    for row, line in zip(sheet.rows, sheet.line_R, strict=True):
        if len(row) != len(sheet.header):
            raise UserError(
                f"{path}, line {line}: {len(row)} fields under a header of {len(sheet.header)}"
            )
    return sheet


def write(table: Table, path: str | Path) -> None:
    """Replaces a csv file in one step: UTF-8 without BOM, "\\n" line ends.

    Raises:
        UserError: it cannot be written (no such folder, no permission, disk full); an older file at
            `path` stays.
    """
    try:
        with replacing(Path(path), "w") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table.header)
            writer.writerows(table.rows)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    except UnicodeEncodeError as error:  # a file name that was not UTF-8
        raise UserError(f"{path}: cannot be written as UTF-8: {error}") from error
