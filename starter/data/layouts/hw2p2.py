"""The HW2P2 layout of F24 to F26: cls_data/{train,dev,test}, ver_data, pair files.

A split is a labels.txt beside images/, or a folder per identity; test may be unlabelled.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog, Pairs
from starter.data.layouts import folders
from starter.data.layouts.disk import (
    IMAGE_SUFFIXES,
    expand_root,
    find_named,
    find_usual,
    read_lines,
    relative,
    scan,
    some,
)
from starter.data.layouts.draft import Draft
from starter.data.layouts.pairfile import read_pairs, refuse_unmeasurable
from starter.data.layouts.survey import Survey, settle
from starter.errors import UserError
from starter.recipe.schema.data import DataSection

log = logging.getLogger(__name__)

CLASSIFY, VERIFICATION = "cls_data", "ver_data"


class Labelled(NamedTuple):
    """A split read from labels.txt, in the order of its lines."""

    path: Path  # of labels.txt
    names: list[str]  # relative to the base folder
    labels: list[int]
    lines: list[int]


def read(data: DataSection) -> Catalog:
    """A competition folder as a catalog.

    Train and dev keep the order of labels.txt; the test split is in sorted order of names, the
    order of sample submissions. Classes of labels.txt are the numbers 0 to K-1; of folders, their
    sorted names. Of ver_data only images that a pair names are items.

    Raises:
        UserError: a missing split; a line of labels.txt or a pair file that is malformed, out of
            range, repeated, or names an absent image (with file:line); a class without images.
    """
    base = find_base(expand_root(data.root))
    parts = _find_splits(base, data)
    draft = Draft(root=base, identities=[])
    _add_train(draft, parts["train"], base)
    number = {name: k for k, name in enumerate(draft.identities)}
    _add_dev(draft, parts["dev"], base, number)
    if "test" in parts:
        _add_test(draft, parts["test"], base, number)
    _add_pairs(draft, base, data.splits.verify or VERIFICATION)
    return draft.finish(data)


def find_base(root: Path) -> Path:
    """The folder that holds cls_data: root, or one folder in it (root/hw2p2_data), or the only one
    deeper down (/kaggle/input/<slug>/hw2p2_data)."""
    if (root / CLASSIFY).is_dir():
        return root
    inside = scan(root).folders
    found = [root / name for name in inside if (root / name / CLASSIFY).is_dir()]
    found = found or [path.parent for path in Survey(root).folders if path.name == CLASSIFY]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"data.root: {root} holds {len(found)} competitions; name one: {some(map(str, found))}"
        )
    raise UserError(
        f"data.root: neither {root} nor a folder in it holds {CLASSIFY}/ (layout hw2p2); "
        f"it holds {some(inside)}"
    )


def _find_splits(base: Path, data: DataSection) -> dict[str, Path]:
    parts, classify = {}, settle(base / CLASSIFY)
    for key, usual in folders.USUAL.items():
        name = getattr(data.splits, key)
        if name is not None:
            parts[key] = find_named(classify, key, name, base)
            continue
        found = find_usual(classify, usual)
        if found is not None:
            parts[key] = found
        elif key != "test":
            raise UserError(
                f"{classify}: no split {key}; it has "
                f"{some(scan(classify).folders)} (other names go under data.splits)"
            )
    return parts


def _add_train(draft: Draft, folder: Path, base: Path) -> None:
    listed = read_labels(folder, base)
    if listed is None:
        found = _read_folders(folder, base)
        draft.identities += found
        for k, files in enumerate(found.values()):
            draft.add(TRAIN, files, [k] * len(files))
        return
    present_K = np.unique(listed.labels)
    gap = np.flatnonzero(present_K != np.arange(len(present_K)))
    if len(gap):
        largest = int(np.argmax(listed.labels))
        raise UserError(
            f"{listed.path}: class {gap[0]} has no image; labels must be 0 to K-1 without gaps "
            f"(the largest, {listed.labels[largest]}, is on line {listed.lines[largest]})"
        )
    draft.identities += [str(k) for k in range(len(present_K))]
    draft.add(TRAIN, listed.names, listed.labels)


def _add_dev(draft: Draft, folder: Path, base: Path, number: dict[str, int]) -> None:
    listed = read_labels(folder, base)
    if listed is not None:
        draft.add(DEV, listed.names, _known(listed, number))
        return
    found = _read_folders(folder, base)
    folders.refuse_strangers(found, number, folder)
    for name, files in found.items():
        draft.add(DEV, files, [number[name]] * len(files))


def _add_test(draft: Draft, folder: Path, base: Path, number: dict[str, int]) -> None:
    listed = read_labels(folder, base)
    if listed is None:
        folders.add_test(draft, folder, base, number)
        return
    rows = sorted(zip(listed.names, _known(listed, number), strict=True))
    draft.add(TEST, [name for name, _ in rows], [label for _, label in rows])


def _read_folders(folder: Path, base: Path) -> dict[str, list[str]]:
    if scan(folder).folders == ["images"]:
        raise UserError(f"{folder}: has images/ but no labels.txt")
    return folders.read_classes(folder, base)


def read_labels(folder: Path, base: Path) -> Labelled | None:
    """A split's labels.txt, "<file> <int>" a line; None where there is no such file."""
    path = folder / "labels.txt"
    if not path.is_file():
        return None
    images = settle(folder / "images") if (folder / "images").is_dir() else folder
    present = set(scan(images).images)
    prefix = relative(images, base)
    found = Labelled(path, [], [], [])
    seen: dict[str, int] = {}
    for line, text in read_lines(path):
        if line == 1 and _is_header(text):
            continue
        name, label = _parse_label(f"{path}:{line}", text)
        if name not in present:
            name = name.replace("\\", "/").removeprefix("images/")
        if name not in present:
            raise UserError(f"{path}:{line}: {images} has no image {name}")
        if name in seen:
            raise UserError(f"{path}:{line}: {name} is already on line {seen[name]}")
        seen[name] = line
        found.names.append(prefix + name)
        found.labels.append(label)
        found.lines.append(line)
    if not seen:
        raise UserError(f"{path}: an empty split; it has no lines")
    if len(present) > len(seen):
        log.warning(
            "%s: %d images are not in labels.txt and are left out", images, len(present) - len(seen)
        )
    return found


def _is_header(text: str) -> bool:
    """Words that name columns: neither an image nor a number."""
    name, _, label = text.rpartition(" ")
    return bool(name) and not name.lower().endswith(IMAGE_SUFFIXES) and not label.isdecimal()


def _parse_label(place: str, text: str) -> tuple[str, int]:
    parts = text.rsplit(maxsplit=1)
    if len(parts) != 2:
        raise UserError(f"{place}: expected '<file> <label>', found {text!r}")
    try:
        label = int(parts[1])
    except ValueError as error:
        raise UserError(f"{place}: the label {parts[1]!r} is not a whole number") from error
    if label < 0:
        raise UserError(f"{place}: the label {label} is negative; labels are 0 to K-1")
    return parts[0], label


def _known(listed: Labelled, number: dict[str, int]) -> list[int]:
    """The labels as train classes; UserError at the first that is none."""
    by_label = {label: number.get(str(label)) for label in set(listed.labels)}
    for label, line in zip(listed.labels, listed.lines, strict=True):
        if by_label[label] is None:
            raise UserError(
                f"{listed.path}:{line}: the label {label} is not among the {len(number)} classes "
                f"of the train split ({some(number, 3)})"
            )
    return [by_label[label] for label in listed.labels]  # type: ignore[misc]


def _add_pairs(draft: Draft, base: Path, folder_name: str) -> None:
    """Both pair files and the images they name."""
    folder = settle(base / folder_name)
    paths = {split: _find_pair_file(base, folder, f"{split}_pairs") for split in ("val", "test")}
    files = {split: path for split, path in paths.items() if path is not None}
    if not files:
        if folder.is_dir():
            log.warning(
                "%s: no val_pairs or test_pairs file (.txt, .csv) in it, %s or %s",
                folder,
                base,
                base / CLASSIFY,
            )
        return
    if not folder.is_dir():
        raise UserError(f"{next(iter(files.values()))}: its images' folder {folder} is missing")
    present = set(scan(folder).images)
    rows = {split: read_pairs(path, present, folder) for split, path in files.items()}
    if "val" in rows:
        refuse_unmeasurable(files["val"], rows["val"])
    names = sorted({name for part in rows.values() for row in part for name in (row.a, row.b)})
    item = {name: len(draft.names) + i for i, name in enumerate(names)}
    prefix = relative(folder, base)
    draft.add(VERIFY, [prefix + name for name in names])
    for split, part in rows.items():
        draft.pairs[split] = Pairs(
            np.array([item[row.a] for row in part], np.int64),
            np.array([item[row.b] for row in part], np.int64),
            None if part[0].same is None else np.array([row.same for row in part], bool),
        )


def _find_pair_file(base: Path, verify: Path, stem: str) -> Path | None:
    places = [base, verify, base / CLASSIFY]
    found = [
        place / (stem + suffix)
        for place in places
        for suffix in (".txt", ".csv")
        if (place / (stem + suffix)).is_file()
    ]
    if len(found) > 1:
        log.warning("%s is used, not %s", found[0], some(map(str, found[1:])))
    return found[0] if found else None
