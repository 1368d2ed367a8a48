"""Tables of rows about images (csv, tsv, parquet), every cell as text, and what their columns are.

Shapes: R rows.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starter.errors import UserError

DELIMITERS = ",;\t|"
PROBE = 200  # rows by which a column is recognised


@dataclass(frozen=True)
class Table:
    """A table as read: a header, R rows of as many cells, and the line on which each row ends."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    line_R: list[int]

    def column(self, name: str) -> list[str]:
        """The cells of a column, from the first row to the last."""
        k = self.header.index(name)
        return [row[k] for row in self.rows]

    def place(self, row: int) -> str:
        """Where a row is written, for messages."""
        return f"{self.path}:{self.line_R[row]}"


def read_table(path: Path, delimiter: str | None = None, most: int | None = None) -> Table:
    """A table with a header; blank lines are skipped, spaces around cells dropped.

    Args:
        delimiter: of cells; None: the one of comma, semicolon, tab and bar that the first line has
            most of. most: rows to read; None: all.
    Raises:
        UserError: no text, no header, a name of a column twice, a row of another length.
    """
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, most)
    table = Table(path, [], [], [])
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter or _delimiter(first), strict=True)
            for cells in reader:
                row = [cell.strip() for cell in cells]
                if not any(row):
                    continue
                if not table.header:
                    table.header.extend(row)
                elif len(table.rows) == most:
                    break
                elif len(row) == len(table.header):
                    table.rows.append(row)
                    table.line_R.append(reader.line_num)
                else:
                    place, due = f"{path}:{reader.line_num}", len(table.header)
                    raise UserError(f"{place}: {len(row)} cells under a header of {due}")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from error
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not a table: {error}") from error
    _check_header(table)
    return table


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def _check_header(table: Table) -> None:
    twice = sorted({name for name in table.header if table.header.count(name) > 1})
    if not table.header or twice:
        what = f"two columns are called {twice[0]!r}" if twice else "an empty table"
        raise UserError(f"{table.path}:1: {what}")


def _read_parquet(path: Path, most: int | None) -> Table:
    import pandas

    try:
        frame = pandas.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a parquet table ({error})") from error
    frame = frame.head(most) if most is not None else frame
    text = frame.astype("string").fillna("")
    rows = [[cell.strip() for cell in row] for row in text.itertuples(index=False, name=None)]
    return Table(path, [str(name) for name in frame.columns], rows, list(range(1, len(rows) + 1)))


def joined(tables: Sequence[Table], key: str) -> Table:
    """Several tables as one: rows below each other where the headers agree, else columns side by
    side, rows matched by the column `key`.

    Raises:
        UserError: a row of the first has none in another.
    """
    first, *others = tables
    for other in others:
        if other.header == first.header:
            rows, line_R = [*first.rows, *other.rows], [*first.line_R, *other.line_R]
            first = Table(first.path, first.header, rows, line_R)
            continue
        new = [name for name in other.header if name not in first.header]
        columns = [other.header.index(name) for name in new]
        row_of = dict(zip(other.column(key), other.rows, strict=True))
        rows = []
        for i, cell in enumerate(first.column(key)):
            if cell not in row_of:
                raise UserError(f"{first.place(i)}: {cell!r} has no row in {other.path}")
            rows.append([*first.rows[i], *(row_of[cell][k] for k in columns)])
        first = Table(first.path, [*first.header, *new], rows, first.line_R)
    return first
