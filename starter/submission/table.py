"""A submission as text: its table, read strictly and written whole or not at all, and its ids
(file names, pairs of them, row numbers)."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from starter.errors import UserError
from starter.files import replacing

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Style:
    """How a csv file spells its rows; quoted: every field, else those that need it."""

    line_end: str = "\n"
    quoted: bool = False

    def write(self, file: IO[str], header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """The header and the rows as text."""
        quoting: Literal[0, 1] = csv.QUOTE_ALL if self.quoted else csv.QUOTE_MINIMAL
        writer = csv.writer(file, lineterminator=self.line_end, quoting=quoting)
        writer.writerow(header)
        writer.writerows(rows)


@dataclass(frozen=True)
class Table:
    """Rows ready to write, (id, label) text; `note` says how the sample was read."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    style: Style = Style()


@dataclass(frozen=True)
class Sheet:
    """A csv file as read: `line_R` is the line of the file on which each row ends, from 1."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    line_R: list[int]
    bom: bool
    size: int
    text: str

    def style(self) -> Style:
        """The line ends of the first line; quoted where writing the rows so gives the file back."""
        first, end, _ = self.text.partition("\n")
        style = Style("\r\n" if first.endswith("\r") and end else "\n", quoted=True)
        again = io.StringIO()
        style.write(again, self.header, self.rows)
        same = again.getvalue().rstrip("\r\n") == self.text.rstrip("\r\n")
        return style if same else replace(style, quoted=False)


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
    return Sheet(path, rows[0], rows[1:], line_R[1:], raw.startswith(BOM), len(raw), text)


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
    """Replaces a csv file in one step: UTF-8 without BOM, in the table's style.

    Raises:
        UserError: it cannot be written (no such folder, no permission, disk full); an older file at
            `path` stays.
    """
    try:
        with replacing(Path(path), "w") as file:
            table.style.write(file, table.header, table.rows)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    except UnicodeEncodeError as error:  # a file name that was not UTF-8
        raise UserError(f"{path}: cannot be written as UTF-8: {error}") from error


def bare(name: str, parts: int = 1) -> str:
    """A file's name without its folders, or with the last of them, whichever way the slashes
    lean; parts: how many words of the path stay."""
    return "/".join(name.strip().replace("\\", "/").split("/")[-parts:])


def stem(name: str, parts: int = 1) -> str:
    """A file's bare name without its ending: "images/0.jpg" -> "0"."""
    return bare(name, parts).rsplit(".", 1)[0]


def is_number(text: str) -> bool:
    """Whether the text is a whole number in plain digits."""
    return text.isascii() and text.isdigit()


def pair_keys(text: str) -> Iterator[str]:
    """The ways an id may name a pair: as it stands, then its two words without their folders."""
    yield text
    words = text.split()
    if len(words) == 2:
        yield f"{bare(words[0])} {bare(words[1])}"


def first_five(items: Sequence[str]) -> str:
    """The first five of many, for a message."""
    more = f" and {len(items) - 5} more" if len(items) > 5 else ""
    return ", ".join(items[:5]) + more


SPOILED: dict[str, Callable[[str], str]] = {  # of one of the words of an id
    "a folder in front of the file names": bare,
    "case": str.lower,
    "real numbers (3.0 for 3)": lambda word: word.removesuffix(".0"),
    "an ending such as .jpg on one side only": stem,
    "leading zeros lost: read ids as text": lambda word: stem(word).lstrip("0"),
}


def difference(ids: Iterable[str], known: Iterable[str]) -> str:
    """`; they differ by ...`: how ids that match no known one were probably spoiled, or nothing."""
    ids, known = set(ids), set(known)
    if {name.strip() for name in ids} & {name.strip() for name in known}:
        return "; they differ by spaces around the ids"
    for reason, simplify in SPOILED.items():
        simple_ids, simple_known = (
            {" ".join(map(simplify, name.split())) for name in names} for names in (ids, known)
        )
        if simple_ids & simple_known:
            return f"; they differ by {reason}"
    if {frozenset(name.split()) for name in ids} & {frozenset(name.split()) for name in known}:
        return "; they differ by the order of the two names"
    return ""
