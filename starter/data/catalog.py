"""The one in-memory form of a competition.

Shapes: N items (images), M items of one split, P pairs, H W image; Gallery has its own.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from starter.data.decode import read_image
from starter.errors import UserError

SPLITS = ("train", "dev", "test", "verify")  # verify: images only used in pairs
TRAIN, DEV, TEST, VERIFY = range(len(SPLITS))
TURNS = {  # of (H,W,C); quarter turns are to the left
    "as it is": lambda image: image,
    "rot90": np.rot90,
    "rot180": lambda image: np.rot90(image, 2),
    "rot270": lambda image: np.rot90(image, 3),
    "hflip": np.fliplr,
    "vflip": np.flipud,
}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of a catalog's items to compare.

    a_P, b_P: int64 item indices. same_P: bool, or None where nobody knows. fold_P: the part of a
    k-fold protocol each belongs to, where the set has one. text_P: both names as the pair file
    spells them, where that may differ from the items' bare names.
    """

    a_P: np.ndarray
    b_P: np.ndarray
    same_P: np.ndarray | None
    fold_P: np.ndarray | None = None
    text_P: Sequence[str] | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Known people, and probes to find among them (1:N identification, F22 to S24).

    Shapes: G images of known people, Q labelled probes, T probes nobody has labelled.

    known_G, dev_Q, test_T: int64 items. identity_G: int64, index into `people`; answer_Q: the
    same, -1 where the probe is nobody known. no_match: what a submission writes for nobody, or
    None where every probe is somebody.
    """

    people: tuple[str, ...]
    known_G: np.ndarray
    identity_G: np.ndarray
    dev_Q: np.ndarray
    answer_Q: np.ndarray
    test_T: np.ndarray
    no_match: str | None


@dataclass(frozen=True, eq=False)
class Catalog:
    """Every image of a competition, what is known about it, and the pairs to compare.

    Attributes:
        root: folder the names are relative to; None where the images are an array.
        names: N paths with forward slashes, or "train/12" for a row of an array.
        label_N: int64, index into `classes`; -1 unknown, or no class (held-out identities).
        split_N: uint8, index into SPLITS.
        classes: names in the order the competition expects; label k is classes[k].
        pairs: "val" (labelled), "test", and "held" (labelled, of identities by which nothing is
            chosen); absent where there are none.
        array_N: the images themselves, uint8 (N,H,W) or (N,H,W,3), or None for files.
        identity_N: int64 identity of every item, held-out identities too, -1 unknown; None
            where the identities of labelled pairs are not known.
        gallery: known people and the probes to find among them, or None.
        turn_N: uint8, index into TURNS, how an item is turned when it is read; None: none is.
        answers: how many of the classes, the first ones, may be predicted; None: all.
        ids: how tables and submissions call the N items; None: by their bare names, or by their
            whole names where two test images share a bare one.
        columns: the other columns of the set's table, N cells each, "" for items without a row.
        samples: the sample submissions that lie in the set, the likeliest first.
    """

    root: Path | None
    names: Sequence[str]
    label_N: np.ndarray
    split_N: np.ndarray
    classes: tuple[str, ...]
    pairs: dict[str, Pairs] = field(default_factory=dict)
    array_N: np.ndarray | None = None
    identity_N: np.ndarray | None = None
    gallery: Gallery | None = None
    turn_N: np.ndarray | None = None
    answers: int | None = None
    ids: Sequence[str] | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    samples: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def path(self, i: int) -> Path:
        """The file of item i; only where the catalog holds files."""
        assert self.root is not None, "an array's rows have no files"
        return self.root / self.names[i]

    def image(self, i: int) -> np.ndarray:
        """Item i as uint8 (H,W,3) RGB, its EXIF rotation applied, grey as three equal channels,
        turned as turn_N says.

        Raises:
            UserError: naming the path: absent, empty, truncated or undecodable.
        """
        if self.array_N is None:
            image = read_image(self.path(i))
        else:
            image = self.array_N[i]
            image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        return image if self.turn_N is None else list(TURNS.values())[self.turn_N[i]](image)

    def index(self, split: str) -> np.ndarray:
        """int64 items of a split, in catalog order."""
        return np.flatnonzero(self.split_N == SPLITS.index(split))

    def identities(self, pairs: Pairs) -> np.ndarray | None:
        """identity_P2 int64 of both sides of the pairs; None where the set does not tell."""
        if self.identity_N is None:
            return None
        return self.identity_N[np.stack([pairs.a_P, pairs.b_P], axis=1)]

    def fingerprint(self) -> str:
        """sha256 hex of names, sizes, labels, splits, pairs and classes.

        It identifies the data wherever it lies and whenever it was copied: neither the root nor
        times count. UserError when a file has gone.
        """
        digest = hashlib.sha256("\0".join([*self.names, "", *self.classes]).encode())
        digest.update(self._size_time_N2[:, 0].astype("<i8").tobytes())
        digest.update(self._array_digest.encode())
        for known_N in (self.label_N, self.split_N):
            digest.update(known_N.astype("<i8").tobytes())
        for name, pairs in sorted(self.pairs.items()):
            digest.update(name.encode())
            for side in (pairs.a_P, pairs.b_P, pairs.same_P):
                digest.update(b"?" if side is None else side.astype("<i8").tobytes())
            digest.update(b"" if pairs.fold_P is None else pairs.fold_P.astype("<i8").tobytes())
        if self.gallery is not None:
            digest.update("\0".join(self.gallery.people).encode())
            for name in ("known_G", "identity_G", "dev_Q", "answer_Q", "test_T"):
                digest.update(getattr(self.gallery, name).astype("<i8").tobytes())
        digest.update(b"" if self.turn_N is None else self.turn_N.tobytes())
        return digest.hexdigest()

    def place(self) -> str:
        """sha256 hex of which images these are and where: names a pack."""
        where = self._array_digest if self.root is None else self.root.resolve().as_posix()
        digest = hashlib.sha256("\0".join([where, *self.names]).encode())
        digest.update(b"" if self.turn_N is None else self.turn_N.tobytes())
        return digest.hexdigest()

    def sources(self) -> str:
        """sha256 hex of every file's size and modification time, or of the array's content."""
        times = self._size_time_N2.astype("<i8").tobytes()
        return hashlib.sha256(times + self._array_digest.encode()).hexdigest()

    def submission_name(self, i: int) -> str:
        """What a submission calls an item: "test_000000.jpg"."""
        if self.ids is not None:
            return self.ids[i]
        return self.names[i] if self._names_clash else self.names[i].rsplit("/", 1)[-1]

    @cached_property
    def _names_clash(self) -> bool:
        names = [self.names[i].rsplit("/", 1)[-1] for i in self.index("test")]
        return len(set(names)) < len(names)

    @cached_property
    def _size_time_N2(self) -> np.ndarray:
        """Bytes and modification time in ns of every file; nothing for an array."""
        if self.root is None:
            return np.zeros((0, 2), np.int64)
        prefix = f"{self.root.as_posix()}/"
        size_time_N2 = np.empty((len(self), 2), np.int64)
        for i, name in enumerate(self.names):
            try:
                status = os.stat(prefix + name)
            except OSError as error:
                raise UserError(f"{prefix}{name}: {error.strerror}") from error
            size_time_N2[i] = status.st_size, status.st_mtime_ns
        return size_time_N2

    @cached_property
    def _array_digest(self) -> str:
        if self.array_N is None:
            return ""
        shape = repr(self.array_N.shape).encode()
        return hashlib.sha256(shape + np.ascontiguousarray(self.array_N).tobytes()).hexdigest()


def in_order(labels: Iterable[str]) -> list[str]:
    """Names of classes by number where all are whole numbers, else as text; each once."""
    labels = set(labels)
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)
