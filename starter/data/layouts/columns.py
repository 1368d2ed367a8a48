"""Which column of a table names images, which holds classes, and which says the split."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starter.data.catalog import TRAIN
from starter.data.layouts.disk import some
from starter.data.layouts.images import Files
from starter.data.layouts.tables import PROBE, Table
from starter.errors import UserError, did_you_mean

# Usual names, in lower case, the likeliest first.
PATHS = "image_id image id filename file_name file path filepath image_path image_name img img_path"
LABELS = (
    "label class identity individual_id person category target class_name name breed species "
    "landmark_id hotel_id class_id ground_truth whale_id id labels"
)
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "part", "usage")
ZERO, ONE = ("0", "0.0"), ("1", "1.0")
MOST = 0.5  # the share of cells that must be images for a column to be one of images


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
    asked = {row[0] for sample in samples[:1] for row in sample.rows[:PROBE]}
    for name in (path, *table.header):
        if asked and asked <= set(table.column(name)):
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
    asked = [name for name in rest if any(_asks_for(table, name, sample) for sample in samples)]
    both = [name for name in usual if name in asked]
    for candidates in (both[:1], usual[:1], asked if len(asked) == 1 else [], rest):
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
