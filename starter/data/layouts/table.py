"""A table with a header and a row an image: columns of paths, classes and splits."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog
from starter.data.layouts.disk import expand_root, some
from starter.data.layouts.draft import Draft
from starter.data.layouts.survey import Survey
from starter.errors import UserError, did_you_mean
from starter.recipe.schema.data import DataSection

COLUMNS = {
    "path": (
        "path",
        "file",
        "filename",
        "file_name",
        "filepath",
        "image",
        "image_path",
        "image_name",
        "img",
        "img_path",
    ),
    "label": ("label", "class", "identity", "person", "category", "target", "class_name", "name"),
    "split": ("split", "set", "subset", "partition", "part", "usage"),
}
SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "dev": DEV,
    "val": DEV,
    "valid": DEV,
    "validation": DEV,
    "test": TEST,
    "testing": TEST,
    "verify": VERIFY,
    "verification": VERIFY,
}
DELIMITERS = ",;\t|"


class Columns(NamedTuple):
    """Where in a row to look; split None where every row trains."""

    delimiter: str
    path: int
    label: int
    split: int | None


class Row(NamedTuple):
    line: int
    name: str
    label: str
    split: int


def read(data: DataSection) -> Catalog:
    """A table's images as a catalog.

    Paths are relative to the table's folder or to data.root; leading folders that are not there
    (the author's disk) are dropped, backslashes are slashes. Classes are those of train rows: in
    numeric order where all are whole numbers, else sorted as text. A test row may have no class.
    Rows of split verify are identities of their own. Without a split column all rows train.

    Raises:
        UserError: no such table or column; a bad row, with its line.
    """
    root = expand_root(data.root)
    path = find_table(root, data)
    rows = list(_rows(path, root, _columns(path, data)))
    seen: dict[str, int] = {}
    for row in rows:
        if row.name in seen:
            raise UserError(f"{path}:{row.line}: {row.name} is already on line {seen[row.name]}")
        seen[row.name] = row.line
    trained = in_order({row.label for row in rows if row.split == TRAIN})
    verified = in_order({row.label for row in rows if row.split == VERIFY and row.label})
    number = {label: k for k, label in enumerate(trained)}
    other = {label: len(trained) + k for k, label in enumerate(verified)} | {"": -1}
    draft = Draft(root=root, identities=trained + verified)
    for split in (TRAIN, DEV, TEST, VERIFY):
        part = [row for row in rows if row.split == split]
        known = other if split == VERIFY else number | ({"": -1} if split == TEST else {})
        for row in part:
            if row.label not in known:
                raise UserError(
                    f"{path}:{row.line}: the class {row.label!r} is not among the {len(trained)} "
                    f"classes of train rows ({some(trained, 3)})"
                )
        draft.add(split, [row.name for row in part], [known[row.label] for row in part])
    return draft.finish(data)


def in_order(labels: set[str]) -> list[str]:
    """By number where all are whole numbers, else as text."""
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def find_table(root: Path, data: DataSection) -> Path:
    """The table a recipe names, or the only one under root whose columns fit."""
    if data.csv.file is not None:
        path = root / data.csv.file
        if path.is_file():
            return path
        raise UserError(f"data.csv.file: no file {path}; {root} holds {some(_tables(root))}")
    tables = _tables(root)
    fits = [root / name for name in tables if fit(root / name, data)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise UserError(
            f"data.csv.file: {root} has {len(fits)} tables; name one: "
            f"{some(path.name for path in fits)}"
        )
    raise UserError(
        f"data.csv: {root} has no table with columns of paths ({some(COLUMNS['path'])}) and "
        f"classes ({some(COLUMNS['label'])}); it holds {some(tables)}. Name them: data.csv.path=..."
    )


def _tables(root: Path) -> list[str]:
    survey = Survey(root)
    return [
        (path / name).relative_to(root).as_posix()
        for path, folder in survey.folders.items()
        for name in folder.texts
    ]


def fit(path: Path, data: DataSection) -> bool:
    """Whether a file is a table of images: columns of paths and classes, a first row that is."""
    try:
        columns = _columns(path, data)
        next(_rows(path, expand_root(data.root), columns))
    except (UserError, StopIteration):
        return False
    return True


def _open(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from error


def _columns(path: Path, data: DataSection) -> Columns:
    """The columns named in data.csv, else those with a usual name. UserError where one lacks."""
    first = next((line for line in _open(path) if line.strip()), "")
    delimiter = data.csv.delimiter or max(DELIMITERS, key=first.count)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    lower = [name.lower() for name in header]
    found: dict[str, int | None] = {}
    for key, usual in COLUMNS.items():
        given = getattr(data.csv, key)
        if given is not None and given not in header:
            raise UserError(
                f"data.csv.{key}: {path} has no column {given}; its header is "
                f"{some(header)}{did_you_mean(given, header)}"
            )
        if given is not None:
            found[key] = header.index(given)
        else:
            found[key] = next((lower.index(name) for name in usual if name in lower), None)
        if found[key] is None and key != "split":
            raise UserError(
                f"{path}:1: no column for the {key} ({some(usual)}); the header is "
                f"{some(header)}. Name it: data.csv.{key}=..."
            )
    assert found["path"] is not None and found["label"] is not None
    return Columns(delimiter, found["path"], found["label"], found["split"])


def _rows(path: Path, root: Path, columns: Columns) -> Iterator[Row]:
    """Every row; UserError at the first bad one, with its line."""
    reader = csv.reader(_open(path), delimiter=columns.delimiter)
    width = len(next((row for row in reader if row), []))
    places: list[Path] = list(dict.fromkeys([path.parent, root]))
    for cells in reader:
        place = f"{path}:{reader.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != width:
            raise UserError(f"{place}: {len(cells)} cells under a header of {width}")
        label = cells[columns.label].strip()
        word = "train" if columns.split is None else cells[columns.split].strip().lower()
        if word not in SPLITS:
            raise UserError(f"{place}: the split {word!r} is none of {', '.join(SPLITS)}")
        if not label and SPLITS[word] in (TRAIN, DEV):
            raise UserError(f"{place}: a {word} row without a class")
        name = _locate(cells[columns.path].strip(), places, root)
        if name is None:
            raise UserError(f"{place}: no image {cells[columns.path]} under {root}")
        yield Row(reader.line_num, name, label, SPLITS[word])


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
