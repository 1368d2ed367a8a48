"""Tables of rows about images (csv, tsv, parquet), every cell as text, and what their columns are:
which names images, which holds classes, which says the split.

Shapes: R rows.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from starter.data.catalog import TRAIN
from starter.data.layouts.disk import some
from starter.data.layouts.images import Files
from starter.errors import UserError, did_you_mean

DELIMITERS = ",;\t|"
PROBE = 200  # rows by which a column is recognised
# Usual names, in lower case, the likeliest first.
PATHS = "image_id image id filename file_name file path filepath image_path image_name img img_path"
LABELS = (
    "label class identity individual_id person category target class_name name breed species "
    "landmark_id hotel_id class_id ground_truth whale_id id labels"
)
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "part", "usage")
ZERO, ONE = ("0", "0.0"), ("1", "1.0")
MOST = 0.5  # the share of cells that must be images for a column to be one of images


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
            reader = csv.reader(
                file, delimiter=delimiter or max(DELIMITERS, key=first.count), strict=True
            )
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


class Columns(NamedTuple):
    """Names of the columns of images, of classes, and of splits where there is one. Several columns
    of classes have a 1 where an image is of that class, else a 0."""

    path: str
    labels: tuple[str, ...]
    split: str | None

    def labels_of(self, table: Table) -> list[str]:
        """The class of every row, "" where none is given.

        Raises:
            UserError: several columns, and more or fewer than one of them is 1.
        """
        if len(self.labels) == 1:
            return table.column(self.labels[0])
        places = [table.header.index(name) for name in self.labels]
        labels = []
        for i, row in enumerate(table.rows):
            ones = [name for name, k in zip(self.labels, places, strict=True) if row[k] in ONE]
            if len(ones) != 1:
                raise UserError(
                    f"{table.place(i)}: {len(ones)} of the columns {some(self.labels)} are 1; "
                    "images of several classes at once are not supported"
                )
            labels += ones
        return labels


def id_column(table: Table, path: str, samples: Sequence[Table]) -> str:
    """The column of what a sample's ids call the rows: usually the one of images itself."""
    sample_ids = {row[0] for sample in samples[:1] for row in sample.rows[:PROBE]}
    for name in (path, *table.header):
        if sample_ids and sample_ids <= set(table.column(name)):
            return name
    return path


def image_columns(table: Table, files: Files, split: int) -> list[str]:
    """The columns whose cells are images, those with a usual name first."""
    named = [name for name in PATHS.split() if name in map(str.lower, table.header)]
    usual = sorted(
        table.header,
        key=lambda name: named.index(name.lower()) if name.lower() in named else len(named),
    )
    return [name for name in usual if _names_images(table.column(name)[:PROBE], files, split)]


def _names_images(cells: Sequence[str], files: Files, split: int) -> bool:
    fit = sum(files.knows(cell, split) for cell in cells)
    return bool(cells) and fit >= MOST * len(cells)


def recognise_columns(
    table: Table, samples: Sequence[Table], files: Files, given: Mapping[str, str | None]
) -> Columns:
    """The columns that a recipe names, else those that the cells say.

    Raises:
        UserError: a named column is not there, or nothing says which one it is.
    """
    for key, name in given.items():
        if name is not None and name not in table.header:
            raise UserError(
                f"data.options.{key}: {table.path} has no column {name}; its header is "
                f"{some(table.header)}{did_you_mean(name, table.header)}"
            )
    path = given["path"] or next(iter(image_columns(table, files, TRAIN)), None)
    if path is None:
        raise UserError(
            f"{table.path}:1: no column names images that lie under {files.root}; the header is "
            f"{some(table.header)}. Name it: data.options.path=..."
        )
    lower = {name.lower(): name for name in reversed(table.header)}
    split = given["split"] or next((lower[name] for name in SPLIT_COLUMNS if name in lower), None)
    if given["label"] is not None:
        return Columns(path, (given["label"],), split)
    rest = [name for name in table.header if name not in (path, split)]
    return Columns(path, _label_columns(table, rest, samples), split)


def _label_columns(table: Table, rest: Sequence[str], samples: Sequence[Table]) -> tuple[str, ...]:
    """The columns of classes: those of 0 and 1 that are the sample's too, else the one that the
    sample asks for, else the one with a usual name, else the only one."""
    for sample in samples:
        if len(sample.header) > 2 and set(sample.header[1:]) <= set(rest):
            cells = {cell for name in sample.header[1:] for cell in table.column(name)}
            if cells <= {*ZERO, *ONE}:
                return tuple(sample.header[1:])
    usual = [n for word in LABELS.split() for n in rest if n.lower() == word]
    in_sample = [name for name in rest if any(_asks_for(table, name, sample) for sample in samples)]
    both = [name for name in usual if name in in_sample]
    for candidates in (both[:1], usual[:1], in_sample if len(in_sample) == 1 else [], rest):
        if len(candidates) == 1:
            return (candidates[0],)
    raise UserError(
        f"{table.path}:1: no column for the label ({some(LABELS.split())}); the header is "
        f"{some(table.header)}. Name it: data.options.label=..."
    )


def _asks_for(table: Table, name: str, sample: Table) -> bool:
    """Whether a sample's answers are classes of this column: in its cells, or as its header."""
    known = set(table.column(name))
    if len(sample.header) > 2 and known.issuperset(sample.header[1:]):
        return True
    words = {word for row in sample.rows[:PROBE] for cell in row[1:] for word in cell.split()}
    return name in sample.header[1:] or bool(words & known)
