"""known/ and unknown faces of F22 to S24: who, if anybody known, is each unknown face?"""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.data.catalog import VERIFY, Gallery
from starter.data.layouts.disk import read_lines, relative, scan, some
from starter.data.layouts.draft import Draft
from starter.data.layouts.survey import Survey, only
from starter.errors import UserError

log = logging.getLogger(__name__)

KNOWN, UNKNOWN_DEV, UNKNOWN_TEST = ("known",), ("unknown_dev",), ("unknown_test",)
ANSWERS = ("dev_identities.csv", "verification_dev.csv")  # F22; S23 to S24
COLUMNS = ("label", "identity", "match")
NO_MATCH = "n000000"  # S23 to S24; in F22 every unknown face is somebody known


@dataclass(frozen=True)
class Tree:
    """Where the parts lie; None for what is missing."""

    known: Path | None
    dev: Path | None
    test: Path | None
    answers: Path | None

    @property
    def folders(self) -> list[Path]:
        """Every folder of images."""
        return [path for path in (self.known, self.dev, self.test) if path is not None]


def find(survey: Survey) -> Tree:
    """The parts under a root, by name."""
    known, dev, test = (
        only(survey.named(names), f"the folder {names[0]}", survey.root)
        for names in (KNOWN, UNKNOWN_DEV, UNKNOWN_TEST)
    )
    answers = only(survey.texts(ANSWERS), "the identities of unknown_dev", survey.root)
    tree = Tree(known, dev, test, answers)
    if tree.known is None and (tree.dev or tree.test):
        raise UserError(f"data.root: {survey.root} has unknown faces but no folder known/")
    if tree.known is None:
        log.warning("%s: no folder known/, so nobody can be identified", survey.root)
    return tree


def add(draft: Draft, tree: Tree) -> None:
    """The gallery and its probes, as images for verification.

    Unknown faces are in sorted order of their names: the order of the answers and of the rows that
    a submission asks for. Identities of the gallery are their own, whatever they are called.
    """
    if tree.known is None:
        return
    assert draft.root is not None
    people, known_G, identity_G = _add_known(draft, tree.known)
    dev_Q, test_T = (_add_faces(draft, folder) for folder in (tree.dev, tree.test))
    answer_Q, nobody = np.full(len(dev_Q), -1, np.int64), True
    if tree.answers is None:
        if len(dev_Q):
            log.warning("%s: no %s, so no threshold can be fitted", tree.dev, " or ".join(ANSWERS))
        dev_Q, answer_Q = dev_Q[:0], answer_Q[:0]
    elif tree.dev is not None:
        answer_Q = _answers(tree.answers, people, tree.dev, len(dev_Q))
        nobody = bool((answer_Q < 0).any())
        first = len(draft.identities) - len(people)
        for item, answer in zip(dev_Q, answer_Q, strict=True):
            draft.identity[item] = first + int(answer) if answer >= 0 else -1
    draft.gallery = Gallery(
        people=tuple(people),
        known_G=known_G,
        identity_G=identity_G,
        dev_Q=dev_Q,
        answer_Q=answer_Q,
        test_T=test_T,
        no_match=NO_MATCH if nobody else None,
    )


def _add_known(draft: Draft, folder: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """People in sorted order, the items of their images, and whose each is."""
    assert draft.root is not None
    people = scan(folder).folders
    start, first, identity_G = len(draft.names), len(draft.identities), []
    for person, name in enumerate(people):
        images = scan(folder / name).images
        if not images:
            raise UserError(f"{folder / name}: a known person without images")
        prefix = relative(folder / name, draft.root)
        draft.add(VERIFY, [prefix + image for image in images], [first + person] * len(images))
        identity_G += [person] * len(images)
    if not people:
        raise UserError(f"{folder}: has no folders; one folder per known person is expected")
    draft.identities += people
    known_G = np.arange(start, len(draft.names), dtype=np.int64)
    return people, known_G, np.array(identity_G, np.int64)


def _add_faces(draft: Draft, folder: Path | None) -> np.ndarray:
    """The items of a folder of unknown faces; nothing without one."""
    start = len(draft.names)
    if folder is not None:
        assert draft.root is not None
        images = scan(folder).images
        if not images:
            raise UserError(f"{folder}: an empty folder of unknown faces")
        prefix = relative(folder, draft.root)
        draft.add(VERIFY, [prefix + image for image in images])
    return np.arange(start, len(draft.names), dtype=np.int64)


def _answers(path: Path, people: list[str], folder: Path, count: int) -> np.ndarray:
    """answer_Q: who each face of unknown_dev is, row by row of the csv; -1 for nobody known."""
    lines = read_lines(path)
    header = [cell.strip().lower() for cell in next(csv.reader([lines[0][1]]))] if lines else []
    column = next((header.index(name) for name in COLUMNS if name in header), None)
    if column is None:
        raise UserError(f"{path}:1: no column {COLUMNS[0]}; the header is {some(header)}")
    if len(lines) - 1 != count:
        raise UserError(f"{path}: {len(lines) - 1} rows for the {count} images of {folder}")
    number = {name: k for k, name in enumerate(people)} | {NO_MATCH: -1}
    found = []
    for line, text in lines[1:]:
        cells = next(csv.reader([text]))
        name = cells[column].strip() if column < len(cells) else ""
        if name not in number:
            raise UserError(f"{path}:{line}: {name!r} is no folder of known/ and not {NO_MATCH}")
        found.append(number[name])
    return np.array(found, np.int64)
