"""CUB-200-2011 as its archive lies: images.txt, image_class_labels.txt, train_test_split.txt."""

from pathlib import Path

from starter.data.catalog import TEST, TRAIN, VERIFY, Catalog
from starter.data.layouts.disk import expand_root, read_lines
from starter.data.layouts.draft import Draft
from starter.data.layouts.survey import Survey, only
from starter.errors import UserError
from starter.recipe.schema.data import DataSection

FILES = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
TRAINED = 100  # classes of the retrieval task, the first; the others are only searched


def read(data: DataSection) -> Catalog:
    """The archive as a catalog, images in the order of their ids.

    task classes: its training images train (a share of them dev), its test images are labelled
    test. task retrieval: all images of classes 1 to 100 train, those of 101 to 200 are identities
    to verify and to retrieve.

    Raises:
        UserError: a file is missing, or a line is malformed (with file:line).
    """
    base = find_base(Survey(expand_root(data.root)))
    name_of = {key: cells[0] for key, cells in _table(base / FILES[3]).items()}
    label_of = {key: cells[0] for key, cells in _table(base / FILES[1]).items()}
    train_of = {key: cells[0] for key, cells in _table(base / FILES[2]).items()}
    classes = sorted(name_of, key=int)
    number = {key: k for k, key in enumerate(classes)}
    draft = Draft(root=base, identities=[name_of[key] for key in classes])
    rows: dict[int, tuple[list[str], list[int]]] = {}
    for key, cells in _table(base / FILES[0]).items():
        label = number.get(label_of.get(key, ""))
        if label is None or key not in train_of:
            raise UserError(f"{base}: image {key} has no class or no split ({', '.join(FILES)})")
        split = TRAIN if train_of[key] == "1" else TEST
        if data.cub.task == "retrieval":
            split = TRAIN if label < TRAINED else VERIFY
        names, labels = rows.setdefault(split, ([], []))
        names.append(f"images/{cells[0]}")
        labels.append(label)
    for split in sorted(rows):
        draft.add(split, *rows[split])
    return draft.finish(data)


def find_base(survey: Survey) -> Path:
    """The folder of the archive's files. UserError when one of them is missing."""
    found = only(survey.texts([FILES[1]]), f"the file {FILES[1]}", survey.root)
    base = survey.root if found is None else found.parent
    lacks = [name for name in FILES if not (base / name).is_file()]
    if not (base / "images").is_dir():
        lacks.append("images/")
    if lacks:
        raise UserError(f"data.root: {base} lacks {', '.join(lacks)} (layout cub)")
    return base


def _table(path: Path) -> dict[str, list[str]]:
    """ "<id> <value>" a line, by id, in the order of the ids."""
    found: dict[str, list[str]] = {}
    for line, text in read_lines(path):
        key, *cells = text.split(maxsplit=1)
        if not cells or not key.isdecimal():
            raise UserError(f"{path}:{line}: expected '<id> <value>', found {text!r}")
        if key in found:
            raise UserError(f"{path}:{line}: the id {key} is there already")
        found[key] = cells
    return {key: found[key] for key in sorted(found, key=int)}
