"""From the rows that a reader found to a Catalog: class names become numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from starter.data.catalog import TEST, TRAIN, VERIFY, Catalog, Gallery, Pairs
from starter.data.layouts.disk import some
from starter.errors import UserError


@dataclass(frozen=True)
class Rows:
    """Images of one split and the class of each, "" where it is not known.

    source: the file that says so, with the `lines` of it; or the folder that holds the classes.
    """

    source: Path
    names: list[str]
    labels: list[str]
    lines: list[int] | None = None

    def place(self, i: int) -> str:
        """Where row i is written, for messages."""
        if self.lines is None:
            return str(self.source / self.labels[i])
        return f"{self.source}:{self.lines[i]}"

    def take(self, index: Iterable[int]) -> "Rows":
        """Some of the rows, in this order; what says so is no longer known by line."""
        chosen = list(index)
        return Rows(self.source, [self.names[i] for i in chosen], [self.labels[i] for i in chosen])


@dataclass
class Draft:
    """Items in the order in which a reader adds them.

    classes: names of the train split's classes, in order. people: identities of the verify split,
    which are others whatever they are called; those that are not listed follow as they come.
    """

    root: Path | None
    classes: Sequence[str]
    people: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    identity: list[int] = field(default_factory=list)
    split: list[int] = field(default_factory=list)
    pairs: dict[str, Pairs] = field(default_factory=dict)
    array_N: np.ndarray | None = None
    gallery: Gallery | None = None

    def add(self, split: int, rows: Rows) -> np.ndarray:
        """More items of a split: their int64 numbers.

        Raises:
            UserError: the class of one is not among `classes`, or unknown where it has to be.
        """
        if split == VERIFY:
            self.people = [who for who in dict.fromkeys([*self.people, *rows.labels]) if who]
        start = len(self.names)
        self.identity += self._numbers(split, rows)
        self.names += rows.names
        self.split += [split] * len(rows.names)
        return np.arange(start, len(self.names))

    def add_unlabelled(self, split: int, names: Sequence[str]) -> np.ndarray:
        """More items, of which nobody says what class they are."""
        return self.add(split, Rows(Path(), list(names), [""] * len(names)))

    def _numbers(self, split: int, rows: Rows) -> list[int]:
        first = len(self.classes) if split == VERIFY else 0
        known = self.people if split == VERIFY else self.classes
        number = {name: first + k for k, name in enumerate(known)}
        if split in (TEST, VERIFY):
            number[""] = -1
        for i, label in enumerate(rows.labels):
            if label not in number:
                raise UserError(
                    f"{rows.place(i)}: the class {label!r} is not among the {len(self.classes)} "
                    f"classes of the train split ({some(self.classes, 3)})"
                )
        return [number[label] for label in rows.labels]

    def finish(self) -> Catalog:
        """The catalog of what was added."""
        identity_N = np.array(self.identity, np.int64)
        split_N = np.array(self.split, np.uint8)
        assert (identity_N[split_N == TRAIN] >= 0).all()
        return Catalog(
            root=self.root,
            names=self.names,
            label_N=np.where(split_N == VERIFY, -1, identity_N),
            split_N=split_N,
            classes=tuple(self.classes),
            pairs=self.pairs,
            array_N=self.array_N,
            identity_N=identity_N,
            gallery=self.gallery,
        )
