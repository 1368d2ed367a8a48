"""Where things lie under a root: the names of its folders and text files, a few levels deep."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from starter.data.layouts.disk import IMAGE_SUFFIXES, some
from starter.errors import UserError

log = logging.getLogger(__name__)

DEEPEST = 8  # /kaggle/input/datasets/<owner>/<set>/<slug>/classification/classification/train
CLASSES = 64  # a folder of more holds classes, not parts of a set: it is not entered
MOST = 20_000  # folders looked into, in about a second: data.root may be a whole disk
SIDES = (("verification", "verif", "ver_"), ("classification", "classif", "cls_"))
TEXT_SUFFIXES = (".txt", ".csv", ".tsv")


class Folder(NamedTuple):
    """What one folder holds: sorted names of folders and text files, and how many images."""

    folders: list[str]
    texts: list[str]
    images: int

    @property
    def holds_classes(self) -> bool:
        """Folders, and hardly an image beside them: perhaps a folder per class."""
        return bool(self.folders) and self.images <= len(self.folders)


class Survey:
    """The folders under a root, breadth first, without entering those of many classes."""

    def __init__(self, root: Path):
        self.root = root
        self.folders: dict[Path, Folder] = {}
        level = [root]
        for _ in range(DEEPEST + 1):
            below = []
            for path in level:
                if len(self.folders) == MOST:
                    log.warning(
                        "%s holds more than %d folders; no more were looked into", root, MOST
                    )
                    return
                found = self.folders[path] = _list(path)
                if len(found.folders) <= CLASSES:
                    below += [path / name for name in found.folders]
            level = below

    def named(self, names: Iterable[str]) -> list[Path]:
        """Folders of the first of these names (in any case) that there are, doubled ones once.

        An archive unpacked into a folder of its name doubles it: the inner one is meant.
        """
        for name in names:
            found = [path for path in self.folders if path.name.lower() == name.lower()]
            if found:
                return list(dict.fromkeys(map(settle, found)))
        return []

    def texts(self, names: Iterable[str]) -> list[Path]:
        """Text files of the first of these names (in any case) that there are."""
        for name in names:
            found = [
                path / text
                for path, folder in self.folders.items()
                for text in folder.texts
                if text.lower() == name.lower()
            ]
            if found:
                return found
        return []

    def contents(self, path: Path) -> Folder:
        """What a folder holds, whether it was entered or not."""
        return self.folders.get(path) or _list(path)

    def side(self, path: Path) -> str | None:
        """Which competition of a pair of them a path belongs to: "classification" or
        "verification", by the innermost folder that says so, or None."""
        for part in reversed(path.relative_to(self.root).parts):
            for side, inside, start in SIDES:
                if inside in part.lower() or part.lower().startswith(start):
                    return side
        return None


def settle(path: Path) -> Path:
    """The folder, or the only one in it where that has the same name."""
    while True:
        inside = _list(path)
        names = inside.folders
        if inside.images or len(names) != 1 or names[0].lower() != path.name.lower():
            return path
        path = path / names[0]


def only(found: list[Path], what: str, root: Path) -> Path | None:
    """The one that was found, or None. UserError when there are several."""
    if len(found) > 1:
        raise UserError(
            f"data.root: {root} holds {len(found)} of {what}: {some(map(str, found))}; "
            "set data.root to a folder that holds one"
        )
    return found[0] if found else None


def _list(path: Path) -> Folder:
    folders, texts, images = [], [], 0
    for name, is_folder in _entries(path):
        lower = name.lower()
        if lower.endswith(IMAGE_SUFFIXES):
            images += 1
        elif is_folder:
            folders.append(name)
        elif lower.endswith(TEXT_SUFFIXES):
            texts.append(name)
    return Folder(sorted(folders), sorted(texts), images)


def _entries(path: Path) -> Iterator[tuple[str, bool]]:
    """Names and whether they are folders; nothing of a folder that cannot be listed."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name != "__MACOSX":
                    yield entry.name, entry.is_dir()
    except OSError:
        return
