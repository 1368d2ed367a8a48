"""Everything that can be wrong with a submission file, found before Kaggle is asked.

What may stand in the label columns is learned from the sample. One file may ask for the classes of
images and the similarities of pairs, and its sample has `0` for both. So rows are judged together
with those whose id has the same shape: two words (a pair), a number, or anything else.

Shapes: R rows of the file, S rows of the sample.
"""

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from starter.submission.table import (
    Sheet,
    Unreadable,
    difference,
    first_five,
    is_number,
    read_sample,
    read_sheet,
)

LARGE = 100 * 2**20  # bytes; a row of id and score takes about 30
INDEX_COLUMNS = ("", "Unnamed: 0", "index", "level_0")
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
NO_VALUE = {"", "nan", "none", "null", "na", "n/a", "<na>"}
SUM = 1e-3  # by which the probabilities of a row may miss 1
PAIR, NUMBER, NAME = "two names as id", "a number as id", "a name as id"


@dataclass(frozen=True)
class Problem:
    """A finding of `check`.

    code: a short, stable word for programs (`header`, `missing-ids`, ...).
    severity: "error" is refused by Kaggle or scored wrongly; "warning" is likely a slip.
    message: what is wrong and how to mend it. line: of the file, from 1; None for the whole file.
    """

    code: str
    severity: Literal["error", "warning"]
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


def check(csv: str | Path, sample: str | Path | None) -> list[Problem]:
    """Compares a submission with its sample; an empty list means nothing to mend.

    Ids are text (`007` is not `7`, `NA` is an id), the header is compared to the letter, rows
    must be the sample's in number and id. An order other than the sample's is a warning. Without
    a sample the file is checked for what no competition takes.

    Raises:
        UserError: the sample itself cannot be read.
    """
    expected = None if sample is None else read_sample(sample)
    try:
        sheet = read_sheet(Path(csv))
    except Unreadable as error:
        return [Problem(error.code, "error", str(error), error.line)]
    problems = [*_file(sheet), *_header(sheet, expected)]
    if any(problem.code == "header" for problem in problems):
        return problems  # the columns cannot be matched, so what is in them says nothing
    if ragged := [*_ragged(sheet)]:
        return problems + ragged
    if expected is None:
        names = dict.fromkeys(row[0] for row in sheet.rows)
        blank = [[name] + [""] * (len(sheet.header) - 1) for name in names]
        expected = replace(sheet, rows=blank)
    return [*problems, *_ids(sheet, expected), *_labels(sheet, expected)]


def _file(sheet: Sheet) -> Iterator[Problem]:
    if sheet.bom:
        yield Problem(
            "bom",
            "error",
            "begins with a byte order mark, which becomes part of the first column's name; "
            "save it as UTF-8 without BOM",
            1,
        )
    if sheet.size > LARGE:
        yield Problem("large", "warning", f"{sheet.size / 2**20:.0f} MiB is unusually large")
    if not sheet.rows:
        yield Problem("empty", "error", "a header but no rows")


def _header(sheet: Sheet, sample: Sheet | None) -> Iterator[Problem]:
    """An error when the columns are not the sample's, with the likeliest reason."""
    header = sheet.header
    if sample is None:
        if len(header) < 2:
            message = f"one column ({header[0]}); expected an id and a label, separated by a comma"
            yield Problem("header", "error", message, 1)
        return
    expected = sample.header
    if header == expected:
        return
    want = f"should be {','.join(expected)}"
    first_ids = {row[0] for row in sample.rows}
    delimiters = [
        word
        for delimiter, word in DELIMITERS.items()
        if len(header) == 1 and len(header[0].split(delimiter)) == len(expected)
    ]
    if header[1:] == expected and header[0] in INDEX_COLUMNS:
        message = f"has pandas' index as its first column, {want}; write it with index=False"
    elif sorted(header) == sorted(expected):
        message = f"has the columns in another order: {','.join(header)}; {want}"
    elif delimiters:
        message = f"separates its columns by {delimiters[0]}, {want}, separated by commas"
    elif header in sample.rows or (len(header) == len(expected) and header[0] in first_ids):
        message = f"has no header: its first line is a row; {want}"
    else:
        message = f"the header is {','.join(header)}; {want}{_renamed(header, expected)}"
    yield Problem("header", "error", message, 1)


def _renamed(header: list[str], expected: list[str]) -> str:
    """Which unknown column is probably which missing one, and what else must change."""
    missing = {name.strip().lower(): name for name in expected if name not in header}
    hints = []
    for name in (name for name in header if name not in expected):
        close = difflib.get_close_matches(name.strip().lower(), list(missing), n=1)
        hints.append(
            f"rename {name!r} to {missing.pop(close[0])!r}"
            if close
            else f"remove the column {name!r}"
        )
    hints += [f"add {name!r}" for name in missing.values()]
    hints += [f"{name!r} appears {n} times" for name, n in Counter(header).items() if n > 1]
    return f" ({', '.join(hints)})"


def _ragged(sheet: Sheet) -> Iterator[Problem]:
    wrong = [
        (len(row), line)
        for row, line in zip(sheet.rows, sheet.line_R, strict=True)
        if len(row) != len(sheet.header)
    ]
    if wrong:
        places = first_five([f"{n} fields (line {line})" for n, line in wrong])
        yield Problem(
            "fields",
            "error",
            f"{len(wrong)} rows do not have {len(sheet.header)} fields: {places}",
            wrong[0][1],
        )


def _ids(sheet: Sheet, sample: Sheet) -> Iterator[Problem]:
    """Missing, extra and repeated ids, and the likeliest reason for a whole column of them."""
    ids, expected = [row[0] for row in sheet.rows], [row[0] for row in sample.rows]
    have, want = Counter(ids), Counter(expected)  # a sample may ask for a pair twice
    line = dict(zip(ids, sheet.line_R, strict=True))
    twice = [name for name in have if have[name] > max(1, want[name])]
    missing = [name for name in want if have[name] < want[name]]
    extra = [name for name in have if name not in want]
    counts = f"({len(ids)} rows, the sample has {len(expected)})"
    hint = difference(extra, missing)
    if twice:
        message = f"{len(twice)} ids appear too often {counts}: {first_five(twice)}"
        yield Problem("duplicate-ids", "error", message, line[twice[0]])
    if missing:
        message = f"{len(missing)} ids are missing {counts}: {first_five(missing)}{hint}"
        yield Problem("missing-ids", "error", message)
    if extra:
        names = first_five([name or repr(name) for name in extra])
        message = f"{len(extra)} ids are not in the sample {counts}: {names}{hint}"
        yield Problem("extra-ids", "error", message, line[extra[0]])
    if ids != expected and not (twice or missing or extra):
        yield Problem(
            "order",
            "warning",
            "the rows are in another order than the sample's; Kaggle matches by id, "
            "but some metrics do not",
        )


def _labels(sheet: Sheet, sample: Sheet) -> Iterator[Problem]:
    """Problems of every column but the id, row by row, matched with the sample by id."""
    expected = {row[0]: row for row in sample.rows}
    groups: dict[str, list[tuple[list[str], int, list[str]]]] = {}
    for row, line in zip(sheet.rows, sheet.line_R, strict=True):
        if row[0] in expected:
            groups.setdefault(_shape(row[0]), []).append((row, line, expected[row[0]]))
    yield from _lists(sheet, sample)
    yield from _sums(sheet, sample)
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


def _lists(sheet: Sheet, sample: Sheet) -> Iterator[Problem]:
    """Cells of several words, where the sample has such: no more of them, and none twice."""
    most = max((len(row[1].split()) for row in sample.rows), default=1)
    if len(sample.header) != 2 or most < 2 or any(_shape(row[0]) == PAIR for row in sample.rows):
        return
    cells = [(row[1], line) for row, line in zip(sheet.rows, sheet.line_R, strict=True)]
    words = [cell.split() for cell, _ in cells]
    many = [cell for cell, parts in zip(cells, words, strict=True) if len(parts) > most]
    twice = [cell for cell, parts in zip(cells, words, strict=True) if len({*parts}) < len(parts)]
    yield from _report("too-many", many, f"{sheet.header[1]}: more than the {most} of the sample")
    yield from _report("repeated", twice, f"{sheet.header[1]}: the same label twice in a cell")


def _sums(sheet: Sheet, sample: Sheet) -> Iterator[Problem]:
    """Numbers in several columns add up to 1 where the sample's do."""
    if len(sample.header) < 3:
        return
    due, sums = ([math.fsum(map(_float, row[1:])) for row in part.rows] for part in (sample, sheet))
    if all(abs(total - 1) <= SUM for total in due):
        named = zip(sums, sheet.line_R, strict=True)
        off = [(f"{total:.6g}", line) for total, line in named if abs(total - 1) > SUM]
        yield from _report("sum", off, "the sample's rows add up to 1, these do not")


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
    spoils a column of classes. "None" may be a class, if the sample has it.
    """
    absent, infinite, words, real = [], [], [], []
    for text, line in cells:
        x = _float(text)
        if not text or (text.lower() in NO_VALUE and text not in known):
            absent.append((text, line))
        elif math.isnan(x):
            words.append((text, line))
        elif math.isinf(x):
            infinite.append((text, line))
        elif not _is_whole(text):
            real.append((text, line))
    if not all(math.isfinite(_float(text)) for text in known):
        words = []
    classes = shape != PAIR and all(map(_is_whole, known))
    if not (classes and all(float(text).is_integer() for text, _ in real)):
        real = []
    for code, wrong, message in (
        ("null", absent, "has no value; give every row one"),
        ("infinite", infinite, "is infinite; give a finite number"),
        ("label", words, "is no number, the sample's are"),
        (
            "float-label",
            real,
            "is a whole number written as a real one; write 3, not 3.0 (pandas turns a column with "
            "gaps or scores into floats)",
        ),
    ):
        yield from _report(code, wrong, f"{name} {message}")


def _report(code: str, wrong: Sequence[tuple[str, int]], message: str) -> Iterator[Problem]:
    """One problem for all cells of a kind, at the first of their lines."""
    if wrong:
        places = first_five([f"{text!r} (line {line})" for text, line in wrong])
        yield Problem(code, "error", f"{message}; {len(wrong)} rows: {places}", wrong[0][1])


def _is_whole(text: str) -> bool:
    return is_number(text.removeprefix("-"))


def _float(text: str) -> float:
    """The number a text spells in plain digits; NaN for anything else."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
