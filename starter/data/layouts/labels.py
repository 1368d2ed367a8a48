"""A split's labels.txt, "<file> <int>" a line, beside its images/."""

import logging
from pathlib import Path

import numpy as np

from starter.data.layouts.disk import IMAGE_SUFFIXES, read_lines, relative, scan, settle
from starter.data.layouts.draft import Rows
from starter.errors import UserError

log = logging.getLogger(__name__)


def read_labels(folder: Path, base: Path) -> Rows | None:
    """The lines of a split's labels.txt, names relative to base; None where there is none."""
    path = folder / "labels.txt"
    if not path.is_file():
        return None
    images = settle(folder / "images") if (folder / "images").is_dir() else folder
    present = set(scan(images).images)
    prefix = relative(images, base)
    line_of: dict[str, int] = {}
    rows = Rows(path, [], [], [])
    assert rows.lines is not None
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
        if name in line_of:
            raise UserError(f"{path}:{line}: {name} is already on line {line_of[name]}")
        line_of[name] = line
        rows.names.append(prefix + name)
        rows.labels.append(str(int(label)))
        rows.lines.append(line)
    if not line_of:
        raise UserError(f"{path}: an empty split; it has no lines")
    if len(present) > len(line_of):
        log.warning(
            "%s: %d images are not in labels.txt and are left out",
            images,
            len(present) - len(line_of),
        )
    return rows


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
