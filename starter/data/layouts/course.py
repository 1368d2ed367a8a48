"""HW2P2 before fall 2024: a folder per class, and verification beside it or in another download.

    hw2p2_s19   S19, S20        medium/ and large/ classes, trial files
    hw2p2_f20   F20, S21, F21   train_data, val_data, test_data; verification_pairs_*.txt
    hw2p2_s22   S22             verification_dev.csv and verification_test.csv name pairs
    hw2p2_f22   F22 to S24      known/, unknown_dev, unknown_test (1:N identification)

Folders are found by name at any depth under data.root, so that doubled folders, extra levels and
two downloads side by side need no keys.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog, Pairs
from starter.data.layouts import folders, known
from starter.data.layouts.disk import expand_root, find_named, read_lines, relative, scan, some
from starter.data.layouts.draft import Draft
from starter.data.layouts.pairfile import find_name, read_pairs, refuse_unmeasurable
from starter.data.layouts.survey import Survey, only, settle
from starter.errors import UserError
from starter.recipe.schema.data import DataSection

log = logging.getLogger(__name__)

Names = tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """What the folders and files of some years are called; the first name that exists is used."""

    years: str
    train: Names
    dev: Names
    test: Names
    order: Names = ()  # a file that lists the test images in the order of the submission
    sizes: Names = ()  # folders of classes inside a split, whose classes are put together
    val_pairs: Names = ()
    test_pairs: Names = ()
    val_faces: Names = ()
    test_faces: Names = ()
    any_positive: bool = False  # labels of pairs above 1 (S21)
    known: bool = False


FAMILIES = {
    "hw2p2_s19": Family(
        "S19, S20",
        train=("train_data",),
        dev=("validation_classification",),
        test=("test_classification",),
        order=("test_order_classification.txt",),
        sizes=("large", "medium"),
        val_pairs=("validation_trials_verification.txt",),
        test_pairs=("test_trials_verification_student.txt", "trials_test_new.txt"),
        val_faces=("validation_verification",),
        test_faces=("test_verification", "test_veri_T_new"),
    ),
    "hw2p2_f20": Family(
        "F20, S21, F21",
        train=("train_data",),
        dev=("val_data",),
        test=("test_data",),
        order=("classification_test.txt",),
        val_pairs=("verification_pairs_val.txt",),
        test_pairs=("verification_pairs_test.txt",),
        val_faces=("verification_data",),
        test_faces=("verification_data",),
        any_positive=True,
    ),
    "hw2p2_s22": Family(
        "S22",
        train=("train", "train_subset"),
        dev=("dev",),
        test=("test",),
        val_pairs=("verification_dev.csv",),
        test_pairs=("verification_test.csv",),
        val_faces=("dev",),
        test_faces=("test",),
    ),
    "hw2p2_f22": Family(
        "F22, S23, F23, S24",
        train=("train", "train_subset"),
        dev=("dev",),
        test=("test",),
        known=True,
    ),
}


def read(data: DataSection) -> Catalog:
    """The folders of one of these years as a catalog.

    Classes are folder names in sorted order, as ImageFolder numbers them. Test images are in the
    order of the order file, else by number (2.jpg before 10.jpg; zero-padded names do not care),
    else sorted. Paths are relative to the lowest folder that holds all parts, so that two mount
    points of the same data agree.

    Raises:
        UserError: a missing split, a part that two folders could be, a bad line (with file:line).
    """
    family, survey = FAMILIES[data.layout], Survey(expand_root(data.root))
    parts = _find_splits(survey, family, data)
    faces = known.find(survey) if family.known else _find_faces(survey, family)
    base = Path(os.path.commonpath([*parts.values(), *faces.folders]))
    base = base if base != parts["train"] else base.parent
    draft = Draft(root=base, identities=[])
    trained = _read_classes(parts["train"], base, family)
    draft.identities += sorted(trained)
    number = {name: k for k, name in enumerate(draft.identities)}
    _add(draft, TRAIN, trained, number)
    if "dev" in parts:
        found = _read_classes(parts["dev"], base, family)
        folders.refuse_strangers(found, number, parts["dev"])
        _add(draft, DEV, found, number)
    if "test" in parts:
        _add_test(draft, parts["test"], survey, family, number)
    if isinstance(faces, known.Tree):
        known.add(draft, faces)
    else:
        _add_pairs(draft, faces, family)
    return draft.finish(data)


@dataclass(frozen=True)
class Faces:
    """Pair files and the folders of the images they name, by "val" and "test"."""

    files: dict[str, Path]
    of: dict[str, Path]

    @property
    def folders(self) -> list[Path]:
        """Every folder of images."""
        return list(self.of.values())


def _find_splits(survey: Survey, family: Family, data: DataSection) -> dict[str, Path]:
    parts = {}
    for key in ("train", "dev", "test"):
        given = getattr(data.splits, key)
        if given is not None:
            parts[key] = settle(find_named(survey.root, key, given))
            continue
        named = survey.named(getattr(family, key))
        fits = [path for path in named if _fits(survey, path, key)]
        found = only(fits, f"the split {key}", survey.root)
        if found is not None:
            parts[key] = found
        elif key == "train":
            raise UserError(
                f"data.root: {survey.root} has no folder {' or '.join(family.train)} with a folder "
                f"per class (layout {data.layout}: {family.years}); it has "
                f"{some(survey.contents(survey.root).folders)}"
            )
    if "dev" not in parts:
        log.warning(
            "%s: no split dev (%s); a share of each class is used",
            survey.root,
            ", ".join(family.dev),
        )
    return parts


def _fits(survey: Survey, path: Path, key: str) -> bool:
    """Whether a folder of a split's name is that split: verification has a dev and a test too."""
    inside = survey.contents(path)
    if key == "test":
        return survey.side(path) != "verification" and bool(inside.images or inside.folders)
    return inside.holds_classes and not (
        survey.side(path) == "verification" and _flat(survey, path, inside.folders)
    )


def _flat(survey: Survey, path: Path, names: list[str]) -> bool:
    """Whether no folder in it holds images."""
    return not any(survey.contents(path / name).images for name in names[:3])


def _read_classes(folder: Path, base: Path, family: Family) -> dict[str, list[str]]:
    """Class -> files; a class in both medium/ and large/ has the images of both."""
    listing = scan(folder)
    if not family.sizes or not set(listing.folders) <= set(family.sizes):
        return folders.read_classes(folder, base)
    found: dict[str, list[str]] = {}
    for size in listing.folders:
        for name, files in folders.read_classes(folder / size, base).items():
            found.setdefault(name, []).extend(files)
    return found


def _add(draft: Draft, split: int, found: dict[str, list[str]], number: dict[str, int]) -> None:
    for name in sorted(found):
        draft.add(split, found[name], [number[name]] * len(found[name]))


def _add_test(
    draft: Draft, folder: Path, survey: Survey, family: Family, number: dict[str, int]
) -> None:
    """The images to classify, in the order of the submission; labelled where folders say so."""
    assert draft.root is not None
    aside = Draft(root=draft.root, identities=draft.identities)
    folders.add_test(aside, folder, draft.root, number)
    order = only(survey.texts(family.order), "the order of test images", survey.root)
    place = {name: i for i, name in enumerate(aside.names)}
    if order is not None:
        chosen = _listed(order, place, folder)
    elif all(Path(name).stem.isdecimal() for name in aside.names):
        chosen = sorted(place.values(), key=lambda i: (int(Path(aside.names[i]).stem), i))
    else:
        chosen = list(range(len(aside.names)))
    draft.add(TEST, [aside.names[i] for i in chosen], [aside.identity[i] for i in chosen])


def _listed(order: Path, place: dict[str, int], folder: Path) -> list[int]:
    """Indices of the images that an order file lists, a file name or path a line."""
    ends: dict[str, list[str]] = {}
    for name in place:
        ends.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    chosen: list[int] = []
    for line, text in read_lines(order):
        text = text.replace("\\", "/")
        named = ends.get(text.rsplit("/", 1)[-1], [])
        fits = [name for name in named if find_name(name, {text})] or named
        if len(fits) != 1:
            state = f"no image {text}" if not fits else f"{len(fits)} images {text}"
            raise UserError(f"{order}:{line}: {folder} has {state}")
        chosen.append(place[fits[0]])
    if len(set(chosen)) < len(chosen):
        raise UserError(f"{order}: {len(chosen) - len(set(chosen))} images are listed twice")
    if len(chosen) < len(place):
        log.warning(
            "%s: %d test images are not listed and are left out", order, len(place) - len(chosen)
        )
    return chosen


def _find_faces(survey: Survey, family: Family) -> Faces:
    files, of = {}, {}
    for split, names, places in (
        ("val", family.val_pairs, family.val_faces),
        ("test", family.test_pairs, family.test_faces),
    ):
        path = only(survey.texts(names), f"the {split} pairs", survey.root)
        if path is None:
            log.warning("%s: no %s pairs (%s)", survey.root, split, ", ".join(names))
            continue
        found = survey.named(places)
        if set(places) & {*family.dev, *family.test}:  # the other competition has these names too
            found = [place for place in found if survey.side(place) == "verification"]
        folder = only(found, f"the images of the {split} pairs", survey.root)
        if folder is None:
            raise UserError(f"{path}: its images' folder ({' or '.join(places)}) is missing")
        files[split], of[split] = path, folder
    return Faces(files, of)


def _add_pairs(draft: Draft, faces: Faces, family: Family) -> None:
    """Both pair files and the images they name."""
    assert draft.root is not None
    rows, names = {}, {}
    for split, path in faces.files.items():
        folder = faces.of[split]
        rows[split] = read_pairs(path, _images(folder), folder, any_positive=family.any_positive)
        prefix = relative(folder, draft.root)
        names[split] = [(prefix + row.a, prefix + row.b) for row in rows[split]]
    if "val" in rows:
        refuse_unmeasurable(faces.files["val"], rows["val"])
    used = sorted({name for part in names.values() for pair in part for name in pair})
    item = {name: len(draft.names) + i for i, name in enumerate(used)}
    draft.add(VERIFY, used)
    for split, part in rows.items():
        labelled = part[0].same is not None
        draft.pairs[split] = Pairs(
            np.array([item[a] for a, _ in names[split]], np.int64),
            np.array([item[b] for _, b in names[split]], np.int64),
            np.array([row.same for row in part], bool) if labelled else None,
            text_P=[row.text for row in part],
        )


def _images(folder: Path, deep: int = 2) -> set[str]:
    """Images in a folder and in the folders in it, relative to it."""
    listing = scan(folder)
    found = set(listing.images)
    for name in listing.folders if deep else ():
        found |= {f"{name}/{image}" for image in _images(folder / name, deep - 1)}
    return found
