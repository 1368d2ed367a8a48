"""LFW: a folder per person, people files and pairs files, both views.

As torchvision lays it (lfw-py/lfw_funneled and the text files beside), as the archives do, or
aligned to 112x112 by somebody: the text files may lie anywhere under data.root.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from starter.data.catalog import TRAIN, VERIFY, Catalog, Pairs
from starter.data.layouts.disk import expand_root, read_lines, scan, some
from starter.data.layouts.draft import Draft
from starter.data.layouts.survey import Survey, only
from starter.errors import UserError
from starter.recipe.schema.data import DataSection

log = logging.getLogger(__name__)

FACES = ("lfw-deepfunneled", "lfw_funneled", "lfw", "lfw-112x112", "lfw_112x112", "lfw_aligned")


class Pair(NamedTuple):
    """A line of a pairs file: two (person, number) and the fold it is in, from 0."""

    line: int
    a: tuple[str, int]
    b: tuple[str, int]
    fold: int


def read(data: DataSection) -> Catalog:
    """One view of LFW as a catalog.

    View 1: peopleDevTrain to train on, pairsDevTest to validate. View 2: pairs.txt to validate,
    all ten folds of it, and the people in no pair to train on; with data.lfw.fold the pairs of
    that fold, and the people of the other nine (people.txt). A share of each person's images is
    dev. People of the pairs are never trained on.

    Raises:
        UserError: a missing file; a line that is malformed or names an absent image (file:line).
    """
    survey = Survey(expand_root(data.root))
    folder = find_faces(survey)
    people = scan(folder).folders
    number = {name: k for k, name in enumerate(people)}
    path, pairs = _pairs(survey, data)
    paired = {name for pair in pairs for name, _ in (pair.a, pair.b)}
    draft = Draft(root=folder.parent, identities=people)
    for name in _trained(survey, data, number, paired):
        images = [f"{folder.name}/{name}/{image}" for image in scan(folder / name).images]
        draft.add(TRAIN, images, [number[name]] * len(images))
    _add_pairs(draft, folder, path, pairs, number)
    return draft.finish(data)


def find_faces(survey: Survey) -> Path:
    """The folder of people. UserError where there is none, or more than one."""
    found = [path for path in survey.named(FACES) if survey.contents(path).holds_classes]
    folder = only(found, "the folder of people", survey.root)
    if folder is None:
        raise UserError(
            f"data.root: {survey.root} has no folder of people ({', '.join(FACES)}) (layout lfw)"
        )
    return folder


def _file(survey: Survey, name: str) -> Path:
    found = only(survey.texts([name]), f"the file {name}", survey.root)
    if found is None:
        raise UserError(f"data.root: {survey.root} has no file {name}, which this view needs")
    return found


def _pairs(survey: Survey, data: DataSection) -> tuple[Path, list[Pair]]:
    """The pairs file of a view, and its pairs (those of one fold where that is asked for)."""
    path = _file(survey, "pairsDevTest.txt" if data.lfw.view == 1 else "pairs.txt")
    pairs = read_pairs(path)
    fold = data.lfw.fold
    kept = [pair for pair in pairs if fold is None or pair.fold == fold - 1]
    if not kept:
        raise UserError(f"data.lfw.fold: {path} has {pairs[-1].fold + 1} folds, none is {fold}")
    return path, kept


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a file whose first line counts them: "n" of each kind, or "folds n"."""
    lines = read_lines(path)
    head = lines[0][1].split() if lines else []
    if len(head) not in (1, 2) or not all(word.isdecimal() for word in head):
        raise UserError(f"{path}:1: expected '<pairs>' or '<folds> <pairs>', found {head}")
    each = int(head[-1])
    folds = int(head[0]) if len(head) == 2 else 1
    if len(lines) - 1 != 2 * each * folds:
        raise UserError(f"{path}: {len(lines) - 1} pairs; line 1 announces {2 * each * folds}")
    return [_parse(path, line, text, i // (2 * each)) for i, (line, text) in enumerate(lines[1:])]


def _parse(path: Path, line: int, text: str, fold: int) -> Pair:
    cells = text.split()
    if len(cells) == 3:
        cells = [cells[0], cells[1], cells[0], cells[2]]
    if len(cells) != 4 or not (cells[1].isdecimal() and cells[3].isdecimal()):
        raise UserError(f"{path}:{line}: expected 'name 1 2' or 'name 1 other 2', found {text!r}")
    return Pair(line, (cells[0], int(cells[1])), (cells[2], int(cells[3])), fold)


def _trained(
    survey: Survey, data: DataSection, number: dict[str, int], paired: set[str]
) -> list[str]:
    """The people to train on, sorted."""
    if data.lfw.view == 2 and data.lfw.fold is None:
        return sorted(set(number) - paired)
    path = _file(survey, "peopleDevTrain.txt" if data.lfw.view == 1 else "people.txt")
    listed, fold = set(), 0
    for line, text in read_lines(path):
        cells = text.split()
        if len(cells) == 1:
            # people.txt: the number of folds, then before each fold how many people it has.
            fold += 1
            continue
        if cells[0] not in number:
            raise UserError(f"{path}:{line}: no folder of {cells[0]}; there are {some(number, 3)}")
        if data.lfw.view == 1 or fold - 1 != data.lfw.fold:
            listed.add(cells[0])
    if listed & paired:
        log.warning(
            "%s: %d people of the validation pairs are not trained on", path, len(listed & paired)
        )
    return sorted(listed - paired)


def _add_pairs(
    draft: Draft, folder: Path, path: Path, pairs: list[Pair], number: dict[str, int]
) -> None:
    """The validation pairs, their folds, and the images they name."""
    file_of: dict[tuple[str, int], str] = {}
    for name in sorted({name for pair in pairs for name, _ in (pair.a, pair.b)} & set(number)):
        for image in scan(folder / name).images:
            digits = Path(image).stem.rsplit("_", 1)[-1]
            if digits.isdecimal():
                file_of[name, int(digits)] = f"{folder.name}/{name}/{image}"
    for pair in pairs:
        for name, i in (pair.a, pair.b):
            if (name, i) not in file_of:
                raise UserError(f"{path}:{pair.line}: {folder / name} has no image number {i}")
    used = sorted({key for pair in pairs for key in (pair.a, pair.b)})
    item = {key: len(draft.names) + i for i, key in enumerate(used)}
    draft.add(VERIFY, [file_of[key] for key in used], [number[name] for name, _ in used])
    folds = len({pair.fold for pair in pairs})
    draft.pairs["val"] = Pairs(
        np.array([item[pair.a] for pair in pairs], np.int64),
        np.array([item[pair.b] for pair in pairs], np.int64),
        np.array([pair.a[0] == pair.b[0] for pair in pairs], bool),
        fold_P=np.array([pair.fold for pair in pairs], np.int64) if folds > 1 else None,
    )
