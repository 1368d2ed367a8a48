"""Text files beside the images of a course's sets: a split's labels.txt, the order of
the test images, files of pairs."""

import csv
import logging
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from starter.data.layouts.disk import (
    IMAGE_SUFFIXES,
    read_lines,
    refuse_twice,
    relative,
    scan,
    settle,
)
from starter.data.layouts.draft import Rows
from starter.errors import UserError

log = logging.getLogger(__name__)


def read_labels(folder: Path, base: Path) -> Rows | None:
    """The lines of a split's labels.txt, "<file> <int>" each, beside its images/; None where there
    is none. Names are relative to base."""
    path = folder / "labels.txt"
    if not path.is_file():
        return None
    images = settle(folder / "images") if (folder / "images").is_dir() else folder
    present = set(scan(images).images)
    names, labels, lines = [], [], []
    for line, text in read_lines(path):
        name, _, label = (part.strip() for part in text.replace("\t", " ").rpartition(" "))
        if line == 1 and name and not (name.lower().endswith(IMAGE_SUFFIXES) or label.isdecimal()):
            continue  # words that name columns
        if not name or not label.isdecimal():
            raise UserError(
                f"{path}:{line}: expected '<file> <label>', the label a whole number from 0, "
                f"found {text!r}"
            )
        if name not in present:
            name = name.replace("\\", "/").removeprefix("images/")
        if name not in present:
            raise UserError(f"{path}:{line}: {images} has no image {name}")
        names.append(name)
        labels.append(str(int(label)))
        lines.append(line)
    if not names:
        raise UserError(f"{path}: an empty split; it has no lines")
    refuse_twice(path, names, lines)
    if unlisted := len(present) - len(names):
        log.warning("%s: %d images are not in labels.txt and are left out", images, unlisted)
    prefix = relative(images, base)
    return Rows(path, [prefix + name for name in names], labels, lines)


def class_order(train: Rows) -> list[str]:
    """The classes of the train split: folders as they are listed, labels 0 to K-1.

    Raises:
        UserError: a label between them has no image.
    """
    if train.lines is None:
        return list(dict.fromkeys(train.labels))
    labels = [int(label) for label in train.labels]
    present_K = np.unique(labels)
    gap = np.flatnonzero(present_K != np.arange(len(present_K)))
    if len(gap):
        last = int(np.argmax(labels))
        raise UserError(
            f"{train.source}: class {gap[0]} has no image; labels must be 0 to K-1 without gaps "
            f"(the largest, {labels[last]}, is on line {train.lines[last]})"
        )
    return [str(label) for label in present_K]


def read_order(order: Path, names: list[str], folder: Path) -> list[int]:
    """Places of the images that an order file lists, a file name or path a line."""
    ends: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        ends.setdefault(name.rsplit("/", 1)[-1], []).append(i)
    chosen: list[int] = []
    for line, text in read_lines(order):
        text = text.replace("\\", "/")
        same_end = ends.get(text.rsplit("/", 1)[-1], [])
        fits = [i for i in same_end if find_name(names[i], {text})] or same_end
        if len(fits) != 1:
            state = f"{len(fits)} images {text}" if fits else f"no image {text}"
            raise UserError(f"{order}:{line}: {folder} has {state}")
        chosen += fits
    if len(set(chosen)) < len(chosen):
        raise UserError(f"{order}: {len(chosen) - len(set(chosen))} images are listed twice")
    if unlisted := len(names) - len(chosen):
        log.warning("%s: %d test images are not listed and are left out", order, unlisted)
    return chosen


class PairRow(NamedTuple):
    """A line of a pair file: two of the names that are present, and the names as it spells them."""

    line: int
    a: str
    b: str
    same: bool | None
    text: str


def read_pairs(
    path: Path, present: Collection[str], folder: Path, *, any_positive: bool = False
) -> list[PairRow]:
    """Rows of a pair file: two names and perhaps 0 or 1, parted by commas or by spaces.

    It may start with a header, whatever its suffix. Leading folders of a name are dropped where
    `folder` has no such path. Either every row has a label or none has. any_positive: a label is
    any whole number, and those above 0 mean the same identity.
    """
    lines = read_lines(path)
    comma = bool(lines) and "," in lines[0][1]
    rows = []
    for number, (line, text) in enumerate(lines):
        place = f"{path}:{line}"
        cells = [cell.strip() for cell in next(csv.reader([text]))] if comma else text.split()
        if number == 0 and not cells[0].lower().endswith(IMAGE_SUFFIXES):
            continue  # words that name columns
        if len(cells) not in (2, 3):
            parts = f"found {len(cells)} parts"
            raise UserError(f"{place}: expected two names and perhaps 0 or 1, {parts}")
        a, b = (find_name(cell, present) for cell in cells[:2])
        if a is None or b is None:
            raise UserError(f"{place}: {folder} has no image {cells[0] if a is None else cells[1]}")
        same = _same(place, cells[2], any_positive) if len(cells) == 3 else None
        rows.append(PairRow(line, a, b, same, " ".join(cells[:2])))
        if (same is None) != (rows[0].same is None):
            state = "no label" if same is None else "a label"
            raise UserError(f"{place}: {state}, unlike line {rows[0].line}")
    if not rows:
        raise UserError(f"{path}: holds no pairs")
    return rows


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


def _same(place: str, label: str, any_positive: bool) -> bool:
    if any_positive and label.removeprefix("-").isdecimal():
        return int(label) > 0
    if label not in ("0", "1"):
        raise UserError(f"{place}: the label {label!r} is neither 0 nor 1")
    return label == "1"


def refuse_unmeasurable(path: Path, rows: list[PairRow]) -> None:
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
