"""What may stand in the label columns, learned from the sample.

One file may ask for the classes of images and the similarities of pairs, and its sample has `0` for
both. So rows are judged together with those whose id has the same shape: two words (a pair), a
number, or anything else.

Shapes: R rows of the file, S rows of the sample.
"""

import math
from collections.abc import Iterator, Sequence

from starter.submission.ids import first_five, is_number
from starter.submission.problem import Problem
from starter.submission.table import Sheet

NO_VALUE = {"", "nan", "none", "null", "na", "n/a", "<na>"}
PAIR, NUMBER, NAME = "two names as id", "a number as id", "a name as id"


def check_labels(sheet: Sheet, sample: Sheet) -> Iterator[Problem]:
    """Problems of every column but the id, row by row, matched with the sample by id."""
    expected = {row[0]: row for row in sample.rows}
    groups: dict[str, list[tuple[list[str], int, list[str]]]] = {}
    for row, line in zip(sheet.rows, sheet.line_R, strict=True):
        if row[0] in expected:
            groups.setdefault(_shape(row[0]), []).append((row, line, expected[row[0]]))
    for shape, rows in groups.items():
        for column, name in enumerate(sample.header[1:], start=1):
            known = {sample_row[column].strip() for _, _, sample_row in rows}
            cells = [(row[column].strip(), line) for row, line, _ in rows]
            yield from _column(name, shape, cells, known)
        if all(row == sample_row for row, _, sample_row in rows):
            yield Problem(
                "unfilled",
                "warning",
                f"every row with {shape} ({len(rows)}) has the sample's own label: was it filled "
                "in, or is it a copy of the sample?",
            )


def _shape(name: str) -> str:
    if is_number(name):
        return NUMBER
    return PAIR if len(name.split()) == 2 else NAME


def _column(
    name: str, shape: str, cells: Sequence[tuple[str, int]], known: set[str]
) -> Iterator[Problem]:
    """A label column of the rows with one shape of id: (label, line) of each, the sample's labels.

    Where the sample has numbers, numbers are due. Where its numbers are whole, they are classes, or
    similarities not yet filled in; pairs have no class, else only the answers can tell. So a real
    number is refused only where none is a true fraction: `3.0` among whole numbers is how pandas
    spoils a column of classes.
    """
    absent = [cell for cell in cells if _is_absent(cell[0], known)]
    yield from _report("null", absent, f"{name} has no value; give every row one")
    numbers = [_float(text) for text, _ in cells]
    infinite = [cell for cell, x in zip(cells, numbers, strict=True) if math.isinf(x)]
    yield from _report("infinite", infinite, f"{name} is infinite; give a finite number")
    if not all(math.isfinite(_float(text)) for text in known):
        return
    absent_cells = set(absent)
    wrong = [
        cell
        for cell, x in zip(cells, numbers, strict=True)
        if math.isnan(x) and cell not in absent_cells
    ]
    yield from _report("label", wrong, f"{name} is no number, the sample's are")
    if shape == PAIR or not all(map(_is_whole, known)):
        return
    real = [
        (cell, x)
        for cell, x in zip(cells, numbers, strict=True)
        if math.isfinite(x) and not _is_whole(cell[0])
    ]
    if all(x.is_integer() for _, x in real):
        yield from _report(
            "float-label",
            [cell for cell, _ in real],
            f"{name} is a whole number written as a real one; write 3, not 3.0 "
            "(pandas turns a column with gaps or scores into floats)",
        )


def _report(code: str, cells: Sequence[tuple[str, int]], message: str) -> Iterator[Problem]:
    """One problem for all rows of a kind, at the first of their lines."""
    if cells:
        places = first_five([f"{text!r} (line {line})" for text, line in cells])
        yield Problem(code, "error", f"{message}; {len(cells)} rows: {places}", cells[0][1])


def _is_absent(text: str, known: set[str]) -> bool:
    """Whether the text stands for nothing; "None" may be a class, if the sample has it."""
    return not text or (text.lower() in NO_VALUE and text not in known)


def _is_whole(text: str) -> bool:
    return is_number(text.removeprefix("-"))


def _float(text: str) -> float:
    """The number a text spells in plain digits; NaN for anything else."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
