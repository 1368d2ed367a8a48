"""The held-back answers of the built-in competition.

Shapes: M test images, P test pairs.
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.data.demo.competition import answers_of
from starter.errors import UserError


@dataclass(frozen=True, eq=False)
class Answers:
    """names: M test images, label_M their int64 labels; pairs: P of names, same_P bool."""

    names: list[str]
    label_M: np.ndarray
    pairs: list[tuple[str, str]]
    same_P: np.ndarray


@dataclass(frozen=True, eq=False)
class Compared:
    """A submission beside the answers, in their order; None for what it does not hold.

    predicted_M, label_M: int64. score_P: float32; same_P: bool.
    """

    predicted_M: np.ndarray | None = None
    label_M: np.ndarray | None = None
    score_P: np.ndarray | None = None
    same_P: np.ndarray | None = None


def read_answers(root: str | Path) -> Answers:
    """The answers of the competition at `root`; UserError when they are not there."""
    folder = answers_of(Path(os.path.expandvars(root)).expanduser().absolute())
    images = _rows(folder / "test_labels.txt")
    pairs = _rows(folder / "test_pairs.txt")
    return Answers(
        names=[name for name, _ in images],
        label_M=np.array([int(label) for _, label in images], np.int64),
        pairs=[(a, b) for a, b, _ in pairs],
        same_P=np.array([same == "1" for _, _, same in pairs], bool),
    )


def _rows(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; remove the demo and draw it again") from error


def score(submission: str | Path, root: str | Path) -> Compared:
    """Lays a submission for the competition at `root` beside its answers.

    Ids are file names (a class), "a b" pairs or row numbers of the test pairs (a similarity).

    Raises:
        UserError: an id or a value that is none of these, or images or pairs left out.
    """
    answers = read_answers(root)
    given = _read_submission(Path(submission))
    asked = {name: i for i, name in enumerate(answers.names)}
    pair_keys = [f"{a} {b}" for a, b in answers.pairs]
    if "0" in given:
        pair_keys = [str(i) for i in range(len(pair_keys))]
    classes = _take(submission, given, list(asked), "test images", int)
    scores = _take(submission, given, pair_keys, "test pairs", float)
    if given:
        raise UserError(f"{submission}: {next(iter(given))!r} is no image or pair of {root}")
    return Compared(
        predicted_M=None if classes is None else np.array(classes, np.int64),
        label_M=None if classes is None else answers.label_M,
        score_P=None if scores is None else np.array(scores, np.float32),
        same_P=None if scores is None else answers.same_P,
    )


def _read_submission(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row][1:]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    bad = next((row for row in rows if len(row) != 2), None)
    if bad is not None or not rows:
        raise UserError(f"{path}: expected rows of an id and a label, found {bad or 'none'}")
    return dict(rows)


def _take(submission, given: dict[str, str], keys: Sequence[str], what: str, kind: type):
    """The values of all keys, taken out of `given`; None where it has none of them."""
    absent = [key for key in keys if key not in given]
    if len(absent) == len(keys):
        return None
    if absent:
        raise UserError(
            f"{submission}: {len(absent)} of {len(keys)} {what} are missing: {absent[0]!r} first"
        )
    values = []
    for key in keys:
        text = given.pop(key)
        try:
            values.append(kind(text))
        except ValueError as error:
            raise UserError(f"{submission}: {key!r} has {text!r}, not a number") from error
    return values
