"""What readers need of a disk: folders, image names and text lines, one scan a folder."""

import difflib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from starter.errors import UserError

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = tuple([".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".webp", ".tif", ".tiff"])
TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".parquet")


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


KAGGLE = Path("/kaggle/input")  # where a notebook finds its data, read-only


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
    close = difflib.get_close_matches(root.name, near, n=1)
    hint = f"; did you mean {parent / close[0]}?" if close else ""
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
