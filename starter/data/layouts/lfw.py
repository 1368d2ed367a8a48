"""LFW: a folder per person, people files and pairs files, both views.

As torchvision lays it (lfw-py/lfw_funneled and the text files beside), as the archives do, or
aligned to 112x112 by somebody: the text files may lie anywhere under data.root.
"""

import logging
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from starter.data.catalog import TRAIN, VERIFY, Catalog, Pairs
from starter.data.layouts.disk import Survey, read_lines, scan, some
from starter.data.layouts.draft import Draft, Rows
from starter.errors import UserError

log = logging.getLogger(__name__)

FACES = ("lfw-deepfunneled", "lfw_funneled", "lfw", "lfw-112x112", "lfw_112x112", "lfw_aligned")


class Pair(NamedTuple):
    """A line of a pairs file: two (person, number) and the fold it is in, from 0."""

    line: int
    a: tuple[str, int]
    b: tuple[str, int]
    fold: int


def read(
    root: Path,
    *,
    view: Literal[1, 2] = 1,
    fold: Annotated[int, Field(ge=1, le=10)] | None = None,
) -> Catalog:
    """One view of LFW as a catalog.

    A share of each person's images is dev. People of the pairs are never trained on.

    Args:
        view: 1 for choosing models: peopleDevTrain to train on, pairsDevTest to validate.
            2 for reporting: all ten folds of pairs.txt, and the people in no pair to train on.
        fold: of view 2: the pairs of this fold, and the people of the other nine (people.txt).
    Raises:
        UserError: a missing file; a line that is malformed or names an absent image (file:line).
    """
    if view == 1 and fold is not None:
        raise UserError("data.options.fold: is of view 2; set data.options.view=2 or leave it out")
    survey = Survey(root)
    fits = [path for path in survey.named(FACES) if survey.contents(path).holds_classes]
    folder = survey.only(fits, "the folder of people")
    if folder is None:
        raise UserError(f"data.root: {root} has no folder of people ({', '.join(FACES)})")
    everybody = scan(folder).folders
    path = _file(survey, "pairsDevTest.txt" if view == 1 else "pairs.txt")
    pairs = [pair for pair in read_pairs(path) if fold is None or pair.fold == fold - 1]
    if not pairs:
        raise UserError(f"data.options.fold: {path} has no fold {fold}")
    paired = {name for pair in pairs for name, _ in (pair.a, pair.b)}
    trained = set(everybody)
    if view == 1 or fold is not None:
        people = _file(survey, "peopleDevTrain.txt" if view == 1 else "people.txt")
        trained = _listed(people, trained, fold)
        if trained & paired:
            count = len(trained & paired)
            log.warning("%s: %d people of the validation pairs are not trained on", people, count)
    draft = Draft(folder.parent, sorted(trained - paired))
    files = [(name, image) for name in draft.classes for image in scan(folder / name).images]
    names = [f"{folder.name}/{name}/{image}" for name, image in files]
    draft.add(TRAIN, Rows(folder, names, [name for name, _ in files]))
    _add_pairs(draft, folder, path, pairs)
    return draft.finish()


def _file(survey: Survey, name: str) -> Path:
    path = survey.text(name)
    if path is None:
        raise UserError(f"data.root: {survey.root} has no file {name}, which this view needs")
    return path


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a file whose first line counts them: "n" of each kind, or "folds n"."""
    lines = read_lines(path)
    head = lines[0][1].split() if lines else []
    if len(head) not in (1, 2) or not all(word.isdecimal() for word in head):
        raise UserError(f"{path}:1: expected '<pairs>' or '<folds> <pairs>', found {head}")
    each = 2 * int(head[-1])
    folds = int(head[0]) if len(head) == 2 else 1
    if len(lines) - 1 != each * folds:
        raise UserError(f"{path}: {len(lines) - 1} pairs; line 1 announces {each * folds}")
    pairs = []
    for i, (line, text) in enumerate(lines[1:]):
        cells = text.split()
        if len(cells) == 3:
            cells.insert(2, cells[0])
        if len(cells) != 4 or not (cells[1] + cells[3]).isdecimal():
            raise UserError(
                f"{path}:{line}: expected 'name 1 2' or 'name 1 other 2', found {text!r}"
            )
        pairs.append(Pair(line, (cells[0], int(cells[1])), (cells[2], int(cells[3])), i // each))
    return pairs


def _listed(path: Path, everybody: set[str], fold: int | None) -> set[str]:
    """The people of a people file, without those of one fold of people.txt."""
    people, part = set(), 0
    for line, text in read_lines(path):
        name, *rest = text.split()
        if not rest:  # people.txt: the number of folds, then before each fold how many it has
            part += 1
        elif name not in everybody:
            raise UserError(
                f"{path}:{line}: no folder of {name}; there are {some(sorted(everybody), 3)}"
            )
        elif fold is None or part - 1 != fold:
            people.add(name)
    return people


def _add_pairs(draft: Draft, folder: Path, path: Path, pairs: list[Pair]) -> None:
    """The validation pairs, their folds, and the images they name."""
    used = sorted({key for pair in pairs for key in (pair.a, pair.b)})
    file_of: dict[tuple[str, int], str] = {}
    for name in {name for name, _ in used if (folder / name).is_dir()}:
        for image in scan(folder / name).images:
            digits = Path(image).stem.rsplit("_", 1)[-1]
            if digits.isdecimal():
                file_of[name, int(digits)] = f"{folder.name}/{name}/{image}"
    for pair in pairs:
        for name, i in (pair.a, pair.b):
            if (name, i) not in file_of:
                raise UserError(f"{path}:{pair.line}: {folder / name} has no image number {i}")
    rows = Rows(folder, [file_of[key] for key in used], [name for name, _ in used])
    item = dict(zip(used, draft.add(VERIFY, rows).tolist(), strict=True))
    folds = len({pair.fold for pair in pairs})
    draft.pairs["val"] = Pairs(
        np.array([item[pair.a] for pair in pairs], np.int64),
        np.array([item[pair.b] for pair in pairs], np.int64),
        np.array([pair.a[0] == pair.b[0] for pair in pairs], bool),
        fold_P=np.array([pair.fold for pair in pairs], np.int64) if folds > 1 else None,
    )
