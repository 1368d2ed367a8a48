"""What the cells of an image's row hold: a class, the likeliest ones, a probability of each.

Shapes: M test images, K classes, T ranked classes of each image.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from starter.errors import UserError
from starter.submission.table import Sheet, first_five, is_number, read_sample

Kind = Literal["class", "list", "columns", "scored", "probabilities", "probability"]
NOBODY = re.compile(r"(new|unknown)([_-]|$)", re.IGNORECASE)  # new_whale, unknown
WORDS = {
    "class": "the class of an image",
    "list": "the {} likeliest classes of an image in a cell",
    "columns": "the {} likeliest classes of an image in columns",
    "scored": "the class of an image and its probability in a cell",
    "probabilities": "the probabilities of {} classes of an image",
    "probability": "the probability that an image is of the last class",
}


@dataclass(frozen=True)
class Shape:
    """What a sample wants of each image: `count` classes or columns of them.

    columns: of probabilities, the place of each column among the classes. nobody: the word for an
    image of no class, which stands where the probabilities fall below a threshold.
    """

    kind: Kind
    count: int = 1
    columns: tuple[int, ...] = ()
    nobody: str | None = None

    @property
    def words(self) -> str:
        """For the note: what such a row asks for."""
        more = "" if self.nobody is None else f", {self.nobody} among them"
        return WORDS[self.kind].format(self.count) + more


@dataclass(frozen=True)
class Ranked:
    """The likeliest classes of each test image, best first.

    class_MT: int64, places among the classes. probability_MT: float, of each; what they lack to 1
    is shared by the classes that are not among the T. Both have a row a test image.
    """

    class_MT: np.ndarray
    probability_MT: np.ndarray

    def all(self, count: int) -> np.ndarray:
        """probability_MK float64 of all classes; rows sum to 1."""
        kept = self.class_MT.shape[1]
        value_MT = self.probability_MT.astype(np.float64)
        rest_M = np.clip(1 - value_MT.sum(1), 0, None) / max(1, count - kept)
        all_MK = np.repeat(rest_M[:, None], count, axis=1)
        np.put_along_axis(all_MK, self.class_MT, value_MT, axis=1)
        return all_MK / all_MK.sum(1, keepdims=True)


def mean_by_id(ids: Sequence[str], ranked: Ranked, classes: int) -> tuple[list[str], Ranked]:
    """Images of the same id (photos of one observation) as one: the mean of their probabilities.

    Returns:
        Each id once, in the order in which they come first, and the classes of it.
    """
    row_of = {name: row for row, name in enumerate(dict.fromkeys(ids))}
    sum_GK = np.zeros((len(row_of), classes))
    np.add.at(sum_GK, [row_of[name] for name in ids], ranked.all(classes))
    mean_GK = sum_GK / sum_GK.sum(1, keepdims=True)
    class_GT = np.argsort(-mean_GK, axis=1, kind="stable")[:, : ranked.class_MT.shape[1]]
    return list(row_of), Ranked(class_GT, np.take_along_axis(mean_GK, class_GT, axis=1))


def nobody_of(sample: Path, classes: Sequence[str]) -> str | None:
    """The word for nobody known that a sample's cells hold, where it is no class; else None."""
    return _nobody((cell for row in read_sample(sample).rows for cell in row[1:]), classes)


def _nobody(cells: Iterable[str], classes: Sequence[str]) -> str | None:
    known = set(classes)
    words = (word for cell in cells if cell not in known for word in cell.split())
    return next((word for word in words if NOBODY.match(word) and word not in known), None)


def shape_of(sample: Sheet, rows: Sequence[Sequence[str]], classes: Sequence[str]) -> Shape:
    """What the sample's rows of images ask for, by their cells; names of columns are looked at only
    where a column is a class.

    Args:
        rows: those of the sample that ask about an image.
    Raises:
        UserError: a column, or a word in a cell, that nothing the kit writes would fit.
    """
    header = sample.header[1:]
    place = {name: k for k, name in enumerate(classes)}
    cells = [cell.strip() for row in rows for cell in row[1:]]
    nobody = _nobody(cells, classes)
    if nobody is not None:
        place[nobody] = len(classes)
    if len(header) > 1:
        if any(name in classes for name in header):
            unknown = [name for name in header if name not in classes]
            if unknown:
                raise UserError(
                    f"{sample.path}, line 1: columns that are no class: {first_five(unknown)}; the "
                    f"data has {len(classes)} classes ({first_five(list(classes))})"
                )
            return Shape("probabilities", len(header), tuple(place[name] for name in header))
        if all(cell in place for cell in cells):
            return Shape("columns", len(header), nobody=nobody)
        raise UserError(
            f"{sample.path}, line 1: {len(header)} columns ({first_five(header)}) that are neither "
            f"classes of the data ({first_five(list(classes))}) nor hold them"
        )
    if (
        cells
        and all(_is_fraction(cell) for cell in cells)
        and not any(cell in place for cell in cells)
    ):
        if len(classes) == 2:
            return Shape("probability")
        raise UserError(
            f"{sample.path}: {header[0]} holds fractions ({cells[0]}), one for each image of "
            f"{len(classes)} classes; nothing says of which class"
        )
    parts = [cell.split() for cell in cells if cell not in place]
    most = max(map(len, parts), default=1)
    if most == 2 and all(_is_scored(words, place) for words in parts if words):
        return Shape("scored")
    listed = most > 1 and any(word in place for words in parts for word in words)
    return replace(Shape("list", most) if listed else Shape("class"), nobody=nobody)


def cells_of(
    shape: Shape, ranked: Ranked, classes: Sequence[str], nobody_below: float = 0.0
) -> list[tuple[str, ...]]:
    """The cells after the id, of every test image. nobody_below: where a class's probability is
    lower, the word for nobody goes before it.

    Raises:
        UserError: the sample asks for more classes than there are.
    """
    if shape.kind in ("probabilities", "probability"):
        columns = list(shape.columns or (len(classes) - 1,))
        chosen_MC = ranked.all(len(classes))[:, columns]
        return [tuple(f"{value:.9g}" for value in row) for row in chosen_MC]
    if shape.count - (shape.nobody is not None) > ranked.class_MT.shape[1]:
        raise UserError(
            f"the sample asks for {shape.count} classes of each image; the run ranks "
            f"{ranked.class_MT.shape[1]}"
        )
    names_M = [[classes[k] for k in row[: shape.count]] for row in ranked.class_MT]
    if shape.nobody is not None:
        place_M = (ranked.probability_MT >= nobody_below).sum(1)
        for names, place in zip(names_M, place_M, strict=True):
            names.insert(place, shape.nobody)
            del names[shape.count :]
    if shape.kind == "scored":
        values_M = ranked.probability_MT[:, 0]
        return [
            (f"{names[0]} {value:.9g}",) for names, value in zip(names_M, values_M, strict=True)
        ]
    return [tuple(names) if shape.kind == "columns" else (" ".join(names),) for names in names_M]


def _is_fraction(text: str) -> bool:
    try:
        return not is_number(text) and 0 <= float(text) <= 1
    except ValueError:
        return False


def _is_scored(words: Sequence[str], place: dict[str, int]) -> bool:
    """Whether a cell is a class and a score of it."""
    return (
        len(words) == 2 and words[0] in place and words[1] not in place and _is_fraction(words[1])
    )
