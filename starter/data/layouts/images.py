"""Every image and table under a folder, and which image a table means by what it calls it."""

from collections import defaultdict
from itertools import takewhile
from pathlib import Path

from starter.data.catalog import SPLITS, TEST, TRAIN
from starter.data.layouts.disk import DEEPEST, IMAGE_SUFFIXES, scan, some
from starter.errors import UserError

WORDS = {TRAIN: "train", TEST: "test"}  # how the folders of a split begin


class Files:
    """What lies under a root, `DEEPEST` folders deep, as paths relative to it."""

    def __init__(self, root: Path):
        self.root = root
        self.images: list[str] = []
        self.tables: list[str] = []
        self.others: list[str] = []
        self._by_name: dict[str, list[str]] = defaultdict(list)  # with and without ending
        self._folders: set[str] = set()
        self._add("", DEEPEST)
        for name in self.images:
            last = name.rpartition("/")[2].lower()
            self._by_name[last].append(name)
            self._by_name[without_ending(last)].append(name)
        # The images in folders named after a split: none for dev and verify.
        self.of_split = [
            [name for name in self.images if _side(name, split) > 0] for split in range(len(SPLITS))
        ]

    def _add(self, prefix: str, depth: int) -> None:
        listing = scan(self.root / prefix)
        self.images += [prefix + name for name in listing.images]
        self.tables += [prefix + name for name in listing.texts]
        self.others += [prefix + name for name in listing.others]
        for name in listing.folders if depth else ():
            self._folders.add(name)
            self._add(f"{prefix}{name}/", depth - 1)

    def knows(self, cell: str, split: int) -> bool:
        """Whether a row of a split may mean an image by this."""
        try:
            return bool(cell) and self.find(cell, split) is not None
        except UserError:
            return True  # more than one

    def find(self, cell: str, split: int) -> str | None:
        """The image that a row of a split means, or None where nothing fits.

        A cell may lack the ending, or folders; those of the author's disk are overlooked. Of images
        of the same name it is the one in the folders that the cell names, else in those of the
        split; never one in the folders of the other split where there are some of its own.

        Raises:
            UserError: several fit equally.
        """
        *folders, last = cell.replace("\\", "/").strip("/").split("/")
        candidates = self._by_name.get(last.lower())
        if not candidates:
            return None
        ranks = [_rank(name, folders, last, split) for name in candidates]
        best = common, side, _ = max(ranks)
        if common == 0:
            elsewhere = bool(folders) and folders[-1] in self._folders
            if elsewhere or (side < 0 and self.of_split[split]):
                return None
        fits = [name for name, rank in zip(candidates, ranks, strict=True) if rank == best]
        if len(fits) > 1:
            raise UserError(
                f"{cell!r} may be any of {some(fits)} under {self.root}; set data.root to the "
                "folder that holds one of them"
            )
        return fits[0]


def without_ending(name: str) -> str:
    """A file name without the ending of an image, which a name may lack."""
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending}".lower() in IMAGE_SUFFIXES else name


def _rank(name: str, folders: list[str], last: str, split: int) -> tuple[int, int, bool]:
    """How well an image fits a cell: folders in common, counted from the file upwards; whether it
    is in the split's own folders (1) or another's (-1); whether the ending is spelled alike."""
    *places, file = name.split("/")
    pairs = zip(reversed(places), reversed(folders), strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return common, _side(name, split), file == last


def _side(name: str, split: int) -> int:
    """1 where a folder above an image is named after this split, -1 where one is after another."""
    parts = name.lower().split("/")[:-1]
    inside = {of for of, word in WORDS.items() if any(part.startswith(word) for part in parts)}
    return 0 if split not in WORDS or not inside else 1 if split in inside else -1
