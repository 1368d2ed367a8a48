"""Any Kaggle image competition: a table of train rows, folders of images, a sample submission.

Roles of tables go by their names, roles of columns by their cells first and their names second.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from starter.data.catalog import DEV, SPLITS, TEST, TRAIN, VERIFY, Catalog, Pairs, in_order
from starter.data.layouts import pixels
from starter.data.layouts.disk import SPLIT_NAMES, some
from starter.data.layouts.draft import Draft, Rows
from starter.data.layouts.images import Files, without_ending
from starter.data.layouts.roles import find_train, is_test, pixel_tables, sample_tables
from starter.data.layouts.tables import Columns, Table, id_column, image_columns, read_table
from starter.errors import UserError
from starter.recipe.schema.data import DataSection

log = logging.getLogger(__name__)

# What the cells of a column of splits mean.
SPLIT_OF = {word: SPLITS.index(split) for split, words in SPLIT_NAMES.items() for word in words}
SPLIT_OF |= {"database": TRAIN, "query": TEST, "verify": VERIFY, "verification": VERIFY}


class Item(NamedTuple):
    """An image: its split, its file, how tables call it, and its row of the table of train rows."""

    split: int
    name: str
    id: str
    row: int | None = None


class TestRows(NamedTuple):
    """What a table asks about test images: the cells that name them, what it calls them, and of
    pairs the id and both cells."""

    source: Path
    cells: list[str]
    ids: list[str]
    pairs: list[tuple[str, str, str]]


def read(
    root: Path,
    *,
    file: str | None = None,
    path: str | None = None,
    label: str | None = None,
    split: str | None = None,
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None,
) -> Catalog:
    """A competition's folder as a catalog.

    Train rows name images with or without ending and folders; classes are in numeric order where
    all are whole numbers, else sorted as text. Test images are those of the split column, else of
    the table of test rows, else those that the sample asks for, else those of the test folder.
    Rows of split verify are identities of their own. Rows without an image and images without a
    row are counted and said.

    Args:
        file: the table of train rows, under root; else the likeliest one that fits.
        path, label, split: its columns of images, of classes, and of train, dev, test, verify;
            else recognised. delimiter: of its cells, else recognised.
    Raises:
        UserError: no such table or column, a bad row, with its line.
    """
    files = Files(root)
    samples = sample_tables(files)
    pictures = pixel_tables(files, file)
    if pictures is not None:
        return pixels.read(*pictures, label, samples[0] if samples else None)
    given = {"path": path, "label": label, "split": split}
    table, columns = find_train(files, samples, file, given, delimiter)
    items = _labelled_items(table, columns, files, id_column(table, columns.path, samples))
    test_rows = None
    if not any(item.split == TEST for item in items):
        test_rows = _test_rows(files, samples)
        items += _test_items(files, test_rows, items)
    catalog = _catalog(root, table, columns, items, samples)
    if test_rows is None or not test_rows.pairs:
        return catalog
    assert catalog.ids is not None
    number = {id: i for i, id in enumerate(catalog.ids) if catalog.split_N[i] == VERIFY}
    a_P, b_P = (np.array([number[pair[side]] for pair in test_rows.pairs]) for side in (1, 2))
    pairs = Pairs(a_P, b_P, None, text_P=[pair[0] for pair in test_rows.pairs])
    return dataclasses.replace(catalog, pairs={"test": pairs})


def refuse(root: Path, data: DataSection) -> None:
    """UserError, which says why, unless a folder has a table of train rows."""
    files, options = Files(root), data.options
    file = options.get("file")
    if pixel_tables(files, file) is None:
        columns = {key: options.get(key) for key in ("path", "label", "split")}
        find_train(files, sample_tables(files), file, columns, options.get("delimiter"))


def _labelled_items(table: Table, columns: Columns, files: Files, id_name: str) -> list[Item]:
    """Every row of the table that has an image. UserError at a bad row."""
    cells, labels = table.column(columns.path), columns.labels_of(table)
    ids = table.column(id_name)
    words = ["train"] * len(cells) if columns.split is None else table.column(columns.split)
    items: dict[str, Item] = {}
    absent = []
    for row, (cell, word, label) in enumerate(zip(cells, words, labels, strict=True)):
        split, place = SPLIT_OF.get(word.lower()), table.place(row)
        if split is None:
            raise UserError(f"{place}: the split {word!r} is none of {', '.join(SPLIT_OF)}")
        if not label and split in (TRAIN, DEV):
            raise UserError(f"{place}: a {word} row without a class")
        name = files.find(cell, split)
        if name is None:
            absent.append(f"{place}: no image {cell}")
            continue
        if name in items:
            line = table.line_R[items[name].row or 0]
            raise UserError(f"{place}: {name} is already on line {line}")
        items[name] = Item(split, name, ids[row], row)
    if not items:
        raise UserError(f"{absent[0]} under {files.root}" if absent else f"{table.path}: no rows")
    if absent:
        log.warning(
            "%d of %d rows have no image and are left out: %s",
            *map(len, (absent, cells)),
            some(absent, 3),
        )
    unnamed = [name for name in files.of_split[TRAIN] if name not in items]
    if unnamed:
        log.warning("%d images have no row and are left out: %s", len(unnamed), some(unnamed, 3))
    return list(items.values())


def _test_items(files: Files, test_rows: TestRows | None, labelled: Sequence[Item]) -> list[Item]:
    """The test images that are asked for, else those of the test folder. Images of pairs alone are
    to be verified.

    Raises:
        UserError: a row without an image.
    """
    known = {item.name for item in labelled}
    if test_rows is None:
        with_ending = any(PurePosixPath(item.name).name == item.id for item in labelled)
        names = [PurePosixPath(name) for name in files.of_split[TEST] if name not in known]
        spell = (lambda name: name) if with_ending else without_ending
        return [Item(TEST, str(name), spell(name.name)) for name in names]
    name_of = {cell: files.find(cell, TEST) for cell in test_rows.cells}
    absent = [cell for cell, name in name_of.items() if name is None or name in known]
    if absent:
        raise UserError(
            f"{test_rows.source}: {len(absent)} of {len(name_of)} test images are not under "
            f"{files.root}: {some(absent)}"
        )
    split = VERIFY if test_rows.pairs else TEST
    id_of = dict(zip(test_rows.cells, test_rows.ids, strict=True))
    items = [Item(split, name, id_of[cell]) for cell, name in name_of.items() if name is not None]
    left = set(files.of_split[TEST]) - {item.name for item in items}
    if left:
        log.info("%d images of test are not asked for: %s", len(left), some(sorted(left), 3))
    return items


def _test_rows(files: Files, samples: Sequence[Table]) -> TestRows | None:
    """The images that a table of test rows names, else those of the sample; None without any."""
    tables = [read_table(files.root / name) for name in files.tables if is_test(name)]
    for table in tables:
        columns = image_columns(table, files, TEST)
        if len(columns) == 2:
            ids = next((name for name in table.header if name not in columns), columns[0])
            first, second = (name for name in table.header if name in columns)
            a, b = table.column(first), table.column(second)
            pairs = list(zip(table.column(ids), a, b, strict=True))
            return TestRows(table.path, [*a, *b], [*a, *b], pairs)
        if columns:
            ids = id_column(table, columns[0], samples)
            return TestRows(table.path, table.column(columns[0]), table.column(ids), [])
    for table in samples[:1]:
        if table.header[0] in image_columns(table, files, TEST):
            cells = table.column(table.header[0])
            return TestRows(table.path, cells, cells, [])
    return None


def _catalog(
    root: Path,
    table: Table,
    columns: Columns,
    items: Sequence[Item],
    samples: Sequence[Table],
) -> Catalog:
    """The items split by split, with their classes, ids and the other columns of their rows."""
    labels = columns.labels_of(table)
    of_split = {
        split: [item for item in items if item.split == split]
        for split in (TRAIN, DEV, TEST, VERIFY)
    }
    label_of = {item: "" if item.row is None else labels[item.row] for item in items}
    classes, people = (
        in_order({label_of[item] for item in of_split[split]} - {""}) for split in (TRAIN, VERIFY)
    )
    draft = Draft(root, classes, people)
    for split, part in of_split.items():
        names, classes = [item.name for item in part], [label_of[item] for item in part]
        lines = [0 if item.row is None else table.line_R[item.row] for item in part]
        draft.add(split, Rows(table.path, names, classes, lines))
    ordered = [item for part in of_split.values() for item in part]
    cells_of = [[] if item.row is None else table.rows[item.row] for item in ordered]
    return dataclasses.replace(
        draft.finish(),
        ids=[item.id for item in ordered],
        columns={
            name: [cells[k] if cells else "" for cells in cells_of]
            for k, name in enumerate(table.header)
            if name not in (columns.path, *columns.labels)
        },
        samples=tuple(sample.path for sample in samples),
    )
