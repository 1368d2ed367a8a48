"""What readers need of a disk: folders, image names and text lines, one scan a folder; and what
lies under a root, a few levels deep."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from starter.errors import UserError, did_you_mean

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".webp", ".tif", ".tiff")
TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".parquet")
SPLIT_NAMES = {  # usual names of each split, in lower case
    "train": ("train", "training"),
    "dev": ("dev", "val", "valid", "validation"),
    "test": ("test", "testing"),
}
KAGGLE = Path("/kaggle/input")  # where a notebook finds its data, read-only
DEEPEST = 8  # /kaggle/input/datasets/<owner>/<set>/<slug>/classification/classification/train
CLASSES = 64  # a folder of more holds classes, not parts of a set: it is not entered
MOST = 20_000  # folders looked into, in about a second: data.root may be a whole disk
SIDES = (("verification", "verif", "ver_"), ("classification", "classif", "cls_"))


class Listing(NamedTuple):
    """Sorted names in a folder: images, sub-folders, texts and tables, and all other files."""

    images: list[str]
    folders: list[str]
    texts: list[str]
    others: list[str]

    @property
    def holds_classes(self) -> bool:
        """Folders, and hardly an image beside them: perhaps a folder per class."""
        return bool(self.folders) and len(self.images) <= len(self.folders)


def scan(folder: Path) -> Listing:
    """One scandir, no stat: half a million files are listed in about a second.

    Hidden entries are skipped: .ipynb_checkpoints, and the "._a.jpg" that macOS puts in archives.
    """
    images, folders, texts, others = [], [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name == "__MACOSX":
                    continue
                if name.lower().endswith(IMAGE_SUFFIXES):
                    images.append(name)
                elif entry.is_dir():
                    folders.append(name)
                elif name.lower().endswith(TEXT_SUFFIXES):
                    texts.append(name)
                else:
                    others.append(name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror})") from error
    return Listing(sorted(images), sorted(folders), sorted(texts), sorted(others))


def expand_root(text: str, *, make: bool = False) -> Path:
    """data.root with ~ and $NAME expanded; UserError with what lies nearby when it is absent.

    Kaggle has mounted the same data in more than one place: the others are looked at too.
    make: the folder is made where it is absent (something is to be fetched into it).
    """
    expanded = os.path.expandvars(text)
    root = Path(expanded).expanduser()
    if root.is_dir():
        return root
    if root.exists():
        raise UserError(f"data.root: {root} is a file; unpack it and name the folder")
    if "$" in expanded:
        raise UserError(f"data.root: {expanded}: an environment variable in it is not set")
    elsewhere = next((path for path in _mounts(root) if path.is_dir()), None)
    if elsewhere is not None:
        log.info("data.root: %s is not there; %s is used", root, elsewhere)
        return elsewhere
    if make:
        root.mkdir(parents=True)
        return root
    parent = root.absolute().parent
    while not parent.is_dir():
        parent = parent.parent
    near = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))
    hint = did_you_mean(root.name, near)
    raise UserError(f"data.root: no folder {root}; {parent} holds {some(near)}{hint}")


def _mounts(root: Path) -> list[Path]:
    """Other places for /kaggle/input/<slug>/...: under competitions/ and datasets/<owner>/."""
    if not root.is_relative_to(KAGGLE) or root == KAGGLE:
        return []
    parts = root.relative_to(KAGGLE).parts
    rest = Path(*(parts[1:] if parts[0] == "competitions" else parts))
    if parts[0] == "datasets":
        rest = Path(*parts[2:])
    owners = sorted((KAGGLE / "datasets").glob("*"))
    return [KAGGLE / "competitions" / rest, KAGGLE / rest, *(owner / rest for owner in owners)]


def some(names: Iterable[str], most: int = 6) -> str:
    """The first few names, for a message of one line."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "nothing"


def relative(folder: Path, base: Path) -> str:
    """A folder relative to base with forward slashes, ending in one: a prefix of file names."""
    text = Path(os.path.relpath(folder, base)).as_posix()
    return "" if text == "." else f"{text}/"


def settle(path: Path) -> Path:
    """The folder, or the only one in it where that has the same name.

    An archive unpacked into a folder of its name doubles it: the inner one is meant.
    """
    while True:
        inside = scan(path)
        if inside.images or [name.lower() for name in inside.folders] != [path.name.lower()]:
            return path
        path = path / inside.folders[0]


def find_named(root: Path, key: str, name: str, *others: Path) -> Path:
    """The sub-folder a recipe names under data.splits; UserError where there is none."""
    for place in (root, *others):
        if (place / name).is_dir():
            return place / name
    raise UserError(
        f"data.splits.{key}: {root} has no folder {name}; it has {some(scan(root).folders)}"
    )


def find_usual(root: Path, names: Iterable[str]) -> Path | None:
    """The first sub-folder of these names, in any case."""
    by_lower = {name.lower(): name for name in reversed(scan(root).folders)}
    return next((root / by_lower[name] for name in names if name in by_lower), None)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """(line number, text) of every line that is not blank; UserError when it is no UTF-8 text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from error
    lines = enumerate(text.split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def refuse_twice(file: Path, names: Iterable[str], lines: Iterable[int]) -> None:
    """UserError where a name stands on two lines of a text file."""
    line_of: dict[str, int] = {}
    for name, line in zip(names, lines, strict=True):
        if line_of.setdefault(name, line) != line:
            raise UserError(f"{file}:{line}: {name} is already on line {line_of[name]}")


class Survey:
    """The folders under a root, breadth first, without entering those of many classes."""

    def __init__(self, root: Path):
        self.root = root
        self.folders: dict[Path, Listing] = {}
        reached = [root]
        for path in reached:  # which grows meanwhile
            if len(self.folders) == MOST:
                log.warning("%s holds more than %d folders; the rest were not searched", root, MOST)
                return
            listing = self.folders[path] = self.contents(path)
            if len(listing.folders) <= CLASSES and len(path.relative_to(root).parts) < DEEPEST:
                reached += [path / name for name in listing.folders]

    def contents(self, path: Path) -> Listing:
        """What a folder holds, whether it was entered or not; nothing where it may not be read."""
        if path in self.folders:
            return self.folders[path]
        try:
            return scan(path)
        except UserError:
            return Listing([], [], [], [])

    def named(self, names: Iterable[str]) -> list[Path]:
        """Folders of the first of these names (in any case) that exists, doubled ones once."""
        for name in names:
            same = [path for path in self.folders if path.name.lower() == name.lower()]
            if same:
                return list(dict.fromkeys(map(settle, same)))
        return []

    def text(self, *names: str) -> Path | None:
        """The one text file of the first of these names (in any case) that exists, or None."""
        for name in names:
            same = [
                path / text
                for path, listing in self.folders.items()
                for text in listing.texts
                if text.lower() == name.lower()
            ]
            if same:
                return self.only(same, f"the file {name}")
        return None

    def only(self, paths: list[Path], what: str) -> Path | None:
        """The one path, or None. UserError where there are several."""
        if len(paths) > 1:
            raise UserError(
                f"data.root: {self.root} holds {len(paths)} of {what}: {some(map(str, paths))}; "
                "set data.root to a folder that holds one"
            )
        return paths[0] if paths else None

    def folder(self, name: str) -> Path | None:
        """The one folder of this name, or None. UserError where there are several."""
        return self.only(self.named([name]), f"the folder {name}")

    def side(self, path: Path) -> str | None:
        """Which competition of a pair of them a path belongs to: "classification" or
        "verification", by the innermost folder that says so, or None."""
        for part in reversed(path.relative_to(self.root).parts):
            for side, inside, start in SIDES:
                if inside in part.lower() or part.lower().startswith(start):
                    return side
        return None
