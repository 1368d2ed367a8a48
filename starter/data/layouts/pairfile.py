"""Lines of a pair file: two names and perhaps whether they are the same identity."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from starter.data.layouts.disk import IMAGE_SUFFIXES, read_lines
from starter.errors import UserError


class Row(NamedTuple):
    """A line of a pair file: two of the names that are present, and the names as it spells them."""

    line: int
    a: str
    b: str
    same: bool | None
    text: str


def find_name(cell: str, present: Collection[str]) -> str | None:
    """The name in `present` that a path ends in, whichever way its slashes lean; None if none."""
    if cell in present:
        return cell
    rest = cell.replace("\\", "/")
    while rest not in present:
        _, slash, rest = rest.partition("/")
        if not slash:
            return None
    return rest


def read_pairs(
    path: Path, present: Collection[str], folder: Path, *, any_positive: bool = False
) -> list[Row]:
    """Rows of a pair file: two names and perhaps 0 or 1, parted by commas or by spaces.

    It may start with a header, whatever its suffix. Leading folders of a name are dropped where
    `folder` has no such path. Either every row has a label or none has. any_positive: a label is
    any whole number, and those above 0 mean the same identity.
    """
    lines = read_lines(path)
    comma = bool(lines) and "," in lines[0][1]
    if lines and not _cells(lines[0][1], comma)[0].lower().endswith(IMAGE_SUFFIXES):
        lines = lines[1:]
    if not lines:
        raise UserError(f"{path}: holds no pairs")
    rows = []
    for line, text in lines:
        place, cells = f"{path}:{line}", _cells(text, comma)
        a, b = _names(place, cells, present, folder)
        rows.append(Row(line, a, b, _label(place, cells, any_positive), " ".join(cells[:2])))
    for row in rows:
        if (row.same is None) != (rows[0].same is None):
            state = "no label" if row.same is None else "a label"
            raise UserError(f"{path}:{row.line}: {state}, unlike line {rows[0].line}")
    return rows


def refuse_unmeasurable(path: Path, rows: Sequence[Row]) -> None:
    """UserError where validation pairs have no labels, or are all genuine or all impostor."""
    if rows[0].same is None:
        raise UserError(
            f"{path}:{rows[0].line}: validation pairs need a label, 0 or 1, after the two names"
        )
    kinds = {row.same for row in rows}
    if len(kinds) == 1:
        raise UserError(
            f"{path}: every pair is {'1' if kinds.pop() else '0'}; genuine (1) "
            "and impostor (0) pairs are both needed to measure an EER"
        )


def _cells(text: str, comma: bool) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([text]))] if comma else text.split()


def _names(
    place: str, cells: Sequence[str], present: Collection[str], folder: Path
) -> tuple[str, str]:
    if len(cells) not in (2, 3):
        raise UserError(f"{place}: expected two names and perhaps 0 or 1, found {len(cells)} parts")
    a, b = (find_name(cell, present) for cell in cells[:2])
    if a is None or b is None:
        raise UserError(f"{place}: {folder} has no image {cells[0] if a is None else cells[1]}")
    return a, b


def _label(place: str, cells: Sequence[str], any_positive: bool) -> bool | None:
    if len(cells) == 2:
        return None
    if any_positive and cells[2].removeprefix("-").isdecimal():
        return int(cells[2]) > 0
    if cells[2] not in ("0", "1"):
        raise UserError(f"{place}: the label {cells[2]!r} is neither 0 nor 1")
    return cells[2] == "1"
