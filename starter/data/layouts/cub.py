"""CUB-200-2011 as its archive lies: images.txt, image_class_labels.txt, train_test_split.txt."""

from pathlib import Path
from typing import Literal

from starter.data.catalog import TEST, TRAIN, VERIFY, Catalog
from starter.data.layouts.disk import read_lines
from starter.data.layouts.draft import Draft, Rows
from starter.data.layouts.survey import Survey
from starter.errors import UserError

IMAGES, LABELS, SPLIT, CLASSES = FILES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "classes.txt",
)
TRAINED = 100  # classes of the retrieval task, the first; the others are only searched


def read(root: Path, *, task: Literal["classes", "retrieval"] = "classes") -> Catalog:
    """The archive as a catalog, images in the order of their ids.

    Args:
        task: "classes": its training images train (a share of them dev), its test images are
            labelled test. "retrieval": all images of classes 1 to 100 train, those of 101 to 200
            are identities to verify and to retrieve.
    Raises:
        UserError: a file is missing, or a line is malformed (with file:line).
    """
    survey = Survey(root)
    labels = survey.text([LABELS], f"the file {LABELS}")
    base = root if labels is None else labels.parent
    lacks = [name for name in FILES if not (base / name).is_file()]
    lacks += [] if (base / "images").is_dir() else ["images/"]
    if lacks:
        raise UserError(f"data.root: {base} lacks {', '.join(lacks)} (layout cub)")
    name_of, class_of, trains = (_table(base / name) for name in (CLASSES, LABELS, SPLIT))
    rows = {split: Rows(base, [], []) for split in (TRAIN, TEST, VERIFY)}
    for key, file in _table(base / IMAGES).items():
        number = class_of.get(key, "")
        if number not in name_of or key not in trains:
            raise UserError(f"{base}: image {key} has no class or no split ({', '.join(FILES)})")
        split = TRAIN if trains[key] == "1" else TEST
        if task == "retrieval":
            split = TRAIN if int(number) <= TRAINED else VERIFY
        rows[split].names.append(f"images/{file}")
        rows[split].labels.append(name_of[number])
    trained = set(rows[TRAIN].labels)
    draft = Draft(base, [name for name in name_of.values() if name in trained])
    for split, part in rows.items():
        draft.add(split, part)
    return draft.finish()


def _table(path: Path) -> dict[str, str]:
    """ "<id> <value>" a line, by id, in the order of the ids."""
    value_of: dict[str, str] = {}
    for line, text in read_lines(path):
        key, _, value = text.partition(" ")
        if not value or not key.isdecimal():
            raise UserError(f"{path}:{line}: expected '<id> <value>', found {text!r}")
        if key in value_of:
            raise UserError(f"{path}:{line}: the id {key} is there already")
        value_of[key] = value.strip()
    return {key: value_of[key] for key in sorted(value_of, key=int)}
