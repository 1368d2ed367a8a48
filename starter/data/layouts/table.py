"""A table with a header and a row an image: columns of paths, classes and splits."""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog
from starter.data.layouts.disk import some
from starter.data.layouts.draft import Draft, Rows
from starter.data.layouts.survey import Survey
from starter.errors import UserError, did_you_mean

PATHS = "path file filename file_name filepath image image_path image_name img img_path"
COLUMNS = {  # usual names, in lower case
    "path": PATHS.split(),
    "label": ["label", "class", "identity", "person", "category", "target", "class_name", "name"],
    "split": ["split", "set", "subset", "partition", "part", "usage"],
}
SPLITS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("dev", "val", "valid", "validation"), DEV),
    **dict.fromkeys(("test", "testing"), TEST),
    **dict.fromkeys(("verify", "verification"), VERIFY),
}
DELIMITERS = ",;\t|"

Given = Mapping[str, str | None]  # the reader's options; None: recognised


class Row(NamedTuple):
    line: int
    name: str
    label: str
    split: int


def read(
    root: Path,
    *,
    file: str | None = None,
    path: str | None = None,
    label: str | None = None,
    split: str | None = None,
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None,
) -> Catalog:
    """A table's images as a catalog.

    Paths are relative to the table's folder or to data.root; leading folders that are not there
    (the author's disk) are dropped, backslashes are slashes. Classes are those of train rows: in
    numeric order where all are whole numbers, else sorted as text. A test row may have no class.
    Rows of split verify are identities of their own. Without a split column all rows train.

    Args:
        file: the table, under data.root; else the only one that fits.
        path, label, split: columns of image paths, of classes, and of train, dev, test, verify;
            else recognised. delimiter: else recognised.
    Raises:
        UserError: no such table or column; a bad row, with its line.
    """
    given = {"path": path, "label": label, "split": split, "delimiter": delimiter}
    table = find_table(root, {**given, "file": file})
    rows = list(_rows(table, root, given))
    line_of: dict[str, int] = {}
    for row in rows:
        if row.name in line_of:
            raise UserError(
                f"{table}:{row.line}: {row.name} is already on line {line_of[row.name]}"
            )
        line_of[row.name] = row.line
    trained, people = (
        in_order({row.label for row in rows if row.split == part and row.label})
        for part in (TRAIN, VERIFY)
    )
    draft = Draft(root, trained, people)
    for part in (TRAIN, DEV, TEST, VERIFY):
        kept = [row for row in rows if row.split == part]
        names, labels = [row.name for row in kept], [row.label for row in kept]
        draft.add(part, Rows(table, names, labels, [row.line for row in kept]))
    return draft.finish()


def in_order(labels: set[str]) -> list[str]:
    """By number where all are whole numbers, else as text."""
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def find_table(root: Path, given: Given) -> Path:
    """The table that `given` names, or the only one under root whose columns fit."""
    tables = [
        (folder / name).relative_to(root).as_posix()
        for folder, listing in Survey(root).folders.items()
        for name in listing.texts
    ]
    named = given.get("file")
    if named is not None:
        if (root / named).is_file():
            return root / named
        raise UserError(f"data.options.file: no file {root / named}; {root} holds {some(tables)}")
    fits = [root / name for name in tables if _fits(root / name, root, given)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise UserError(
            f"data.options.file: {root} has {len(fits)} tables; name one: "
            f"{some(path.name for path in fits)}"
        )
    raise UserError(
        f"data.options: {root} has no table with columns of paths ({some(COLUMNS['path'])}) and "
        f"classes ({some(COLUMNS['label'])}); it holds {some(tables)}. Name them: "
        "data.options.path=..."
    )


def _fits(table: Path, root: Path, given: Given) -> bool:
    """Whether a file is a table of images: columns of paths and classes, a first row that is."""
    try:
        next(_rows(table, root, given))
    except (UserError, StopIteration):
        return False
    return True


def _columns(table: Path, header: list[str], given: Given) -> dict[str, int | None]:
    """Where in a row to look: the columns given, else those with a usual name."""
    lower = [name.lower() for name in header]
    column: dict[str, int | None] = {}
    for key, usual in COLUMNS.items():
        named = given.get(key)
        if named is not None and named not in header:
            raise UserError(
                f"data.options.{key}: {table} has no column {named}; its header is "
                f"{some(header)}{did_you_mean(named, header)}"
            )
        known = [lower.index(name) for name in usual if name in lower]
        column[key] = header.index(named) if named is not None else next(iter(known), None)
        if column[key] is None and key != "split":
            raise UserError(
                f"{table}:1: no column for the {key} ({some(usual)}); the header is "
                f"{some(header)}. Name it: data.options.{key}=..."
            )
    return column


def _rows(table: Path, root: Path, given: Given) -> Iterator[Row]:
    """Every row; UserError where a column lacks or at the first bad row, with its line."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{table}: cannot be read as text ({error})") from error
    first = next((line for line in lines if line.strip()), "")
    reader = csv.reader(lines, delimiter=given.get("delimiter") or max(DELIMITERS, key=first.count))
    header = [cell.strip() for cell in next((row for row in reader if row), [])]
    column = _columns(table, header, given)
    for row in reader:
        place, cells = f"{table}:{reader.line_num}", [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise UserError(f"{place}: {len(cells)} cells under a header of {len(header)}")
        path, label, word = (cells[k] if k is not None else "train" for k in column.values())
        split = SPLITS.get(word.lower())
        if split is None:
            raise UserError(f"{place}: the split {word!r} is none of {', '.join(SPLITS)}")
        if not label and split in (TRAIN, DEV):
            raise UserError(f"{place}: a {word} row without a class")
        name = _locate(path, [table.parent, root], root)
        if name is None:
            raise UserError(f"{place}: no image {path} under {root}")
        yield Row(reader.line_num, name, label, split)


def _locate(cell: str, places: list[Path], root: Path) -> str | None:
    """The image relative to root, by as much of its path as exists; None where nothing does."""
    rest = cell.replace("\\", "/").lstrip("/")
    while rest:
        for place in places:
            path = Path(os.path.normpath(place / rest))
            if path.is_relative_to(root) and path.is_file():
                return path.relative_to(root).as_posix()
        _, _, rest = rest.partition("/")
    return None
