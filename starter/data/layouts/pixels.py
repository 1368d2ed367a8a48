"""Pictures that are rows of a table: a column per pixel, or all of them in one cell.

Shapes: R rows, N pixels of each, H W their height and width.
"""

import dataclasses
import re
from collections.abc import Sequence
from math import isqrt
from pathlib import Path

import numpy as np

from starter.data.catalog import TEST, TRAIN, Catalog, in_order
from starter.data.layouts.disk import some
from starter.data.layouts.draft import Draft, Rows
from starter.data.layouts.tables import Table, read_table
from starter.errors import UserError

LEAST = 64  # columns that are pixels; fewer are something else
PIXEL = re.compile(r"(?:pixel|px|p)?[_ ]?\d+(?:x\d+)?", re.I)
CELL = "pixels"  # the column that holds them all, separated by spaces


def pixel_columns(header: Sequence[str]) -> list[str]:
    """The columns that are pixels, in their order; none where the table holds no pictures."""
    columns = [name for name in header if PIXEL.fullmatch(name)]
    return columns if len(columns) >= LEAST else [n for n in header if n.lower() == CELL]


def read(train: Path, test: Path | None, label: str | None, sample: Table | None) -> Catalog:
    """The rows of both tables as a catalog of an array, "train/0" the first row of the first.

    Args:
        label: the column of classes; None: the one called so, or the only one beside the pixels.
        test: None where there is none. sample: its ids are the test rows', in their order, where
            their number is the same; else rows are called by their number from 1.
    Raises:
        UserError: pixels that are no whole numbers from 0 to 255, or no square of them; no label.
    """
    table, image_RHW = read_pictures(train)
    usual = [name for name in table.header if name.lower() == "label"] or table.header
    named = label or (usual[0] if len(usual) == 1 else None)
    if named not in table.header:
        raise UserError(
            f"{train}:1: no column for the label; beside the pixels it has "
            f"{some(table.header)}. Name it: data.options.label=..."
        )
    labels = table.column(named)
    draft = Draft(None, in_order(labels), array_N=image_RHW)
    draft.add(TRAIN, Rows(train, [f"train/{i}" for i in range(len(labels))], labels, table.line_R))
    if test is not None:
        _, test_RHW = read_pictures(test)
        if test_RHW.shape[1:] != image_RHW.shape[1:]:
            raise UserError(f"{test}:1: pictures of another size than those of {train}")
        draft.add_unlabelled(TEST, [f"test/{i}" for i in range(len(test_RHW))])
        draft.array_N = np.concatenate([image_RHW, test_RHW])
    tests = len(draft.names) - len(labels)
    sample_ids = [] if sample is None else [row[0] for row in sample.rows]
    test_ids = sample_ids if len(sample_ids) == tests else map(str, range(1, tests + 1))
    others = [name for name in table.header if name != named]
    return dataclasses.replace(
        draft.finish(),
        ids=[*map(str, range(1, len(labels) + 1)), *test_ids],
        columns={name: [*table.column(name), *[""] * tests] for name in others},
        samples=() if sample is None else (sample.path,),
    )


def read_pictures(path: Path) -> tuple[Table, np.ndarray]:
    """The table without its pixels, and the pixels, uint8 (R,H,W)."""
    import pandas

    header = read_table(path, most=0).header
    columns = pixel_columns(header)
    texts = [name for name in header if name not in columns]
    typed: dict = dict.fromkeys(texts if len(columns) > 1 else header, str)
    try:
        frame = pandas.read_csv(path, dtype=typed, keep_default_na=False)
        values = frame[columns].to_numpy()
        if len(columns) == 1:
            values = np.stack([np.array(cell.split(), np.int64) for cell in values[:, 0]])
        value_RN = values.astype(np.int64)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a table of pixels ({error})") from error
    side = isqrt(value_RN.shape[1])
    if side**2 != value_RN.shape[1]:
        raise UserError(f"{path}:1: {value_RN.shape[1]} pixels make no square")
    wrong = np.flatnonzero(
        ((value_RN < 0) | (value_RN > 255)).any(axis=1) | (value_RN != values).any(axis=1)
    )
    if len(wrong):
        raise UserError(f"{path}:{wrong[0] + 2}: a pixel is no whole number from 0 to 255")
    rows = [[cell.strip() for cell in row] for row in frame[texts].itertuples(index=False)]
    table = Table(path, texts, rows, list(range(2, len(rows) + 2)))
    return table, value_RN.astype(np.uint8).reshape(-1, side, side)
