"""Where things lie under a root: its folders and text files by name, a few levels deep."""

import logging
from collections.abc import Iterable
from pathlib import Path

from starter.data.layouts.disk import Listing, scan, settle, some
from starter.errors import UserError

log = logging.getLogger(__name__)

DEEPEST = 8  # /kaggle/input/datasets/<owner>/<set>/<slug>/classification/classification/train
CLASSES = 64  # a folder of more holds classes, not parts of a set: it is not entered
MOST = 20_000  # folders looked into, in about a second: data.root may be a whole disk
SIDES = (("verification", "verif", "ver_"), ("classification", "classif", "cls_"))


class Survey:
    """The folders under a root, breadth first, without entering those of many classes."""

    def __init__(self, root: Path):
        self.root = root
        self.folders: dict[Path, Listing] = {}
        level = [root]
        for _ in range(DEEPEST + 1):
            below = []
            for path in level:
                if len(self.folders) == MOST:
                    log.warning(
                        "%s holds more than %d folders; no more were looked into", root, MOST
                    )
                    return
                listing = self.folders[path] = _scan_if_allowed(path)
                if len(listing.folders) <= CLASSES:
                    below += [path / name for name in listing.folders]
            level = below

    def named(self, names: Iterable[str]) -> list[Path]:
        """Folders of the first of these names (in any case) that exists, doubled ones once."""
        for name in names:
            same = [path for path in self.folders if path.name.lower() == name.lower()]
            if same:
                return list(dict.fromkeys(map(settle, same)))
        return []

    def only(self, names: Iterable[str], what: str) -> Path | None:
        """The one folder of these names, or None. UserError where there are several."""
        return only(self.named(names), what, self.root)

    def text(self, names: Iterable[str], what: str) -> Path | None:
        """The one text file of the first of these names (in any case) that exists, or None.

        Raises:
            UserError: there are several.
        """
        for name in names:
            same = [
                path / text
                for path, listing in self.folders.items()
                for text in listing.texts
                if text.lower() == name.lower()
            ]
            if same:
                return only(same, what, self.root)
        return None

    def contents(self, path: Path) -> Listing:
        """What a folder holds, whether it was entered or not."""
        return self.folders.get(path) or _scan_if_allowed(path)

    def side(self, path: Path) -> str | None:
        """Which competition of a pair of them a path belongs to: "classification" or
        "verification", by the innermost folder that says so, or None."""
        for part in reversed(path.relative_to(self.root).parts):
            for side, inside, start in SIDES:
                if inside in part.lower() or part.lower().startswith(start):
                    return side
        return None


def only(paths: list[Path], what: str, root: Path) -> Path | None:
    """The one path, or None. UserError where there are several."""
    if len(paths) > 1:
        raise UserError(
            f"data.root: {root} holds {len(paths)} of {what}: {some(map(str, paths))}; "
            "set data.root to a folder that holds one"
        )
    return paths[0] if paths else None


def _scan_if_allowed(path: Path) -> Listing:
    try:
        return scan(path)
    except UserError:
        return Listing([], [], [], [])
