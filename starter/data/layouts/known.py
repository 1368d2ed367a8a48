"""known/ and unknown faces of F22 to S24: who, if anybody known, is each unknown face?"""

import csv
import logging
from pathlib import Path

import numpy as np

from starter.data.catalog import VERIFY, Gallery
from starter.data.layouts.disk import Survey, read_lines, relative, scan, some
from starter.data.layouts.draft import Draft, Rows
from starter.data.layouts.folders import read_classes
from starter.errors import UserError

log = logging.getLogger(__name__)

ANSWERS = ("dev_identities.csv", "verification_dev.csv")  # F22; S23 to S24
COLUMNS = ("label", "identity", "match")
NO_MATCH = "n000000"  # S23 to S24; in F22 every unknown face is somebody known


def find(survey: Survey) -> dict[str, Path]:
    """The folders of faces under a root, by name; empty where there is none of them."""
    places = {name: survey.folder(name) for name in ("known", "unknown_dev", "unknown_test")}
    parts = {name: path for name, path in places.items() if path is not None}
    if parts and "known" not in parts:
        raise UserError(f"data.root: {survey.root} has unknown faces but no folder known/")
    if not parts:
        log.warning("%s: no folder known/, so nobody can be identified", survey.root)
    return parts


def add(draft: Draft, parts: dict[str, Path], answers_csv: Path | None) -> None:
    """The gallery and its probes, as images for verification.

    Unknown faces are in sorted order of their names: the order of the answers and of the rows that
    a submission asks for. Identities of the gallery are their own, whatever they are called.
    """
    assert draft.root is not None
    known = read_classes(parts["known"], draft.root)
    known_G = draft.add(VERIFY, known)
    people = list(draft.people)
    number = {name: k for k, name in enumerate(people)}
    unknown = {name: _faces(path, draft.root) for name, path in parts.items() if name != "known"}
    dev = unknown.get("unknown_dev", [])
    answers: list[str] = []
    if dev and answers_csv is None:
        log.warning("%s: no %s, so no threshold can be fitted", draft.root, " or ".join(ANSWERS))
    elif dev and answers_csv:
        answers = _answers(answers_csv, number, parts["unknown_dev"], len(dev))
    labels = [who if who in number else "" for who in answers] or [""] * len(dev)
    dev_Q = draft.add(VERIFY, Rows(parts["known"], dev, labels))
    draft.gallery = Gallery(
        people=tuple(people),
        known_G=known_G,
        identity_G=np.array([number[name] for name in known.labels], np.int64),
        dev_Q=dev_Q if answers else dev_Q[:0],
        answer_Q=np.array([number.get(who, -1) for who in answers], np.int64),
        test_T=draft.add_unlabelled(VERIFY, unknown.get("unknown_test", [])),
        no_match=NO_MATCH if not answers or NO_MATCH in answers else None,
    )


def _faces(folder: Path, root: Path) -> list[str]:
    """The images in a folder of unknown faces."""
    images = scan(folder).images
    if not images:
        raise UserError(f"{folder}: an empty folder of unknown faces")
    prefix = relative(folder, root)
    return [prefix + image for image in images]


def _answers(path: Path, number: dict[str, int], folder: Path, count: int) -> list[str]:
    """Who each face of unknown_dev is, row by row of the csv; NO_MATCH for nobody known."""
    lines = read_lines(path)
    rows = [[cell.strip() for cell in row] for row in csv.reader(text for _, text in lines)]
    header = [cell.lower() for cell in rows[0]] if rows else []
    column = next((header.index(name) for name in COLUMNS if name in header), None)
    if column is None:
        raise UserError(f"{path}:1: no column {COLUMNS[0]}; the header is {some(header)}")
    if len(rows) - 1 != count:
        raise UserError(f"{path}: {len(rows) - 1} rows for the {count} images of {folder}")
    answers = []
    for (line, _), cells in zip(lines[1:], rows[1:], strict=True):
        who = cells[column] if column < len(cells) else ""
        if who not in number and who != NO_MATCH:
            raise UserError(f"{path}:{line}: {who!r} is no folder of known/ and not {NO_MATCH}")
        answers.append(who)
    return answers
