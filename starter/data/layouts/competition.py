"""A competition's download: folders of splits, pair files and the faces that they name.

Folders are found by name at any depth under data.root, so that doubled folders, extra levels and
two downloads side by side need no keys. What they are called is a `Shape`.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog, Pairs
from starter.data.layouts import folders, known
from starter.data.layouts.disk import (
    SPLIT_NAMES,
    Survey,
    find_named,
    find_usual,
    relative,
    scan,
    settle,
    some,
)
from starter.data.layouts.draft import Draft, Rows
from starter.data.layouts.textfiles import (
    class_order,
    read_labels,
    read_order,
    read_pairs,
    refuse_unmeasurable,
)
from starter.errors import UserError
from starter.recipe.schema.data import SplitsSection

log = logging.getLogger(__name__)

Names = tuple[str, ...]  # the first name that exists is used
Faces = dict[str, tuple[Path, Path]]  # "val" and "test" -> pair file, folder of the images it names


@dataclass(frozen=True)
class Shape:
    """What the folders and files of a download are called: one for the years that share it."""

    years: str
    needs: tuple[Names, ...]  # what tells it from others: folders (ending in /) or files
    splits: Mapping[str, Names] = field(
        default_factory=lambda: {
            "train": ("train", "train_subset"),
            "dev": ("dev",),
            "test": ("test",),
        }
    )
    inside: str | None = None  # the folder that holds the splits; the rest lies around it
    order: Names = ()  # a file that lists the test images in the order of the submission
    sizes: Names = ()  # folders of classes inside a split, whose classes are put together
    pairs: Mapping[str, tuple[Names, Names]] = field(default_factory=dict)  # file, its images
    any_positive: bool = False  # labels of pairs above 1 (S21)
    known: bool = False  # people to find unknown faces among, instead of pairs


SHAPES = {
    "hw2p2": Shape(
        "F24 to F26",
        needs=(("cls_data/",),),
        splits=SPLIT_NAMES,
        inside="cls_data",
        pairs={
            "val": (("val_pairs.txt", "val_pairs.csv"), ("ver_data",)),
            "test": (("test_pairs.txt", "test_pairs.csv"), ("ver_data",)),
        },
    ),
    "hw2p2_f22": Shape(
        "F22, S23, F23, S24",
        needs=(("train/", "train_subset/"), ("known/",), ("unknown_dev/", "unknown_test/")),
        known=True,
    ),
    "hw2p2_s22": Shape(
        "S22",
        needs=(("train/", "train_subset/"), ("verification_dev.csv", "verification_test.csv")),
        pairs={
            "val": (("verification_dev.csv",), ("dev",)),
            "test": (("verification_test.csv",), ("test",)),
        },
    ),
    "hw2p2_f20": Shape(
        "F20, S21, F21",
        needs=(("train_data/",), ("val_data/",)),
        splits={"train": ("train_data",), "dev": ("val_data",), "test": ("test_data",)},
        order=("classification_test.txt",),
        pairs={
            "val": (("verification_pairs_val.txt",), ("verification_data",)),
            "test": (("verification_pairs_test.txt",), ("verification_data",)),
        },
        any_positive=True,
    ),
    "hw2p2_s19": Shape(
        "S19, S20",
        needs=(("train_data/",), ("validation_classification/",)),
        splits={
            "train": ("train_data",),
            "dev": ("validation_classification",),
            "test": ("test_classification",),
        },
        order=("test_order_classification.txt",),
        sizes=("large", "medium"),
        pairs={
            "val": (("validation_trials_verification.txt",), ("validation_verification",)),
            "test": (
                ("test_trials_verification_student.txt", "trials_test_new.txt"),
                ("test_verification", "test_veri_T_new"),
            ),
        },
    ),
}


def read(root: Path, *, shape: Shape, splits: SplitsSection) -> Catalog:
    """A download of this shape as a catalog.

    A split is a labels.txt beside images/, or a folder per class. Classes of labels.txt are the
    numbers 0 to K-1, in the order of its lines; of folders, their sorted names, as ImageFolder
    numbers them. Test images are in the order of the order file, else by number (2.jpg before
    10.jpg), else sorted. Of the faces only images that a pair names are items. Names are relative
    to the lowest folder that holds all parts, so that two mount points of the same data agree.

    Raises:
        UserError: a missing split, a part that two folders could be, a class without images, a bad
            line of a text file (with file:line).
    """
    root = find_base(root, shape)
    survey = Survey(root)
    parts = _find_splits(survey, shape, splits)
    faces = _find_faces(survey, shape, splits)
    people = known.find(survey) if shape.known else {}
    base = root
    if not shape.inside:
        places = [*parts.values(), *(place for _, place in faces.values())]
        base = Path(os.path.commonpath([*places, *people.values()]))
        base = base if base != parts["train"] else base.parent
    train = _read_split(parts["train"], base, shape)
    draft = Draft(base, class_order(train))
    draft.add(TRAIN, train)
    if "dev" in parts:
        draft.add(DEV, _read_split(parts["dev"], base, shape))
    if "test" in parts:
        test = read_labels(parts["test"], base)
        test = test or folders.read_test(parts["test"], base)
        order = survey.text(*shape.order)
        draft.add(TEST, test.take(_order(test, order, parts["test"])))
    if people:
        known.add(draft, people, survey.text(*known.ANSWERS))
    _add_pairs(draft, faces, shape)
    return draft.finish()


def find_base(root: Path, shape: Shape) -> Path:
    """The folder around the one that holds the splits: root, or one folder in it
    (root/hw2p2_data), or the only one deeper down (/kaggle/input/<slug>/hw2p2_data)."""
    name = shape.inside
    if name is None or (root / name).is_dir():
        return root
    survey = Survey(root)
    beside = survey.contents(root).folders
    bases = [root / folder for folder in beside if (root / folder / name).is_dir()]
    bases = bases or [path.parent for path in survey.folders if path.name == name]
    if not bases:
        raise UserError(
            f"data.root: neither {root} nor a folder in it holds {name}/ (layout hw2p2); "
            f"it holds {some(beside)}"
        )
    return survey.only(bases, f"the folder {name}") or root


def _find_splits(survey: Survey, shape: Shape, splits: SplitsSection) -> dict[str, Path]:
    place = settle(survey.root / shape.inside) if shape.inside else survey.root
    parts: dict[str, Path] = {}
    for key in ("train", "dev", "test"):
        names, given = shape.splits[key], getattr(splits, key)
        path: Path | None
        if given is not None:
            path = settle(find_named(place, key, given, survey.root))
        elif shape.inside:
            path = find_usual(place, names)
        else:
            fits = [path for path in survey.named(names) if _fits(survey, path, key)]
            path = survey.only(fits, f"the split {key}")
        if path is not None:
            parts[key] = path
        elif key == "train" or (key == "dev" and shape.inside):
            raise UserError(
                f"{place}: no split {key}; it has {some(scan(place).folders)}; looked for a folder "
                f"{' or '.join(names)} (HW2P2, {shape.years}; other names go under data.splits)"
            )
        elif key == "dev":
            log.warning(
                "%s: no split dev (%s); a share of each class is used", place, ", ".join(names)
            )
    return parts


def _fits(survey: Survey, path: Path, key: str) -> bool:
    """Whether a folder of a split's name is that split: verification has a dev and a test too."""
    inside, faces = survey.contents(path), survey.side(path) == "verification"
    if key == "test":
        return not faces and bool(inside.images or inside.folders)
    nested = any(survey.contents(path / name).images for name in inside.folders[:3])
    return inside.holds_classes and (nested or not faces)


def _read_split(folder: Path, base: Path, shape: Shape) -> Rows:
    """A labelled split; a class in both medium/ and large/ has the images of both."""
    listed = read_labels(folder, base)
    if listed is not None:
        return listed
    inside = scan(folder).folders
    if inside == ["images"]:
        raise UserError(f"{folder}: has images/ but no labels.txt")
    if not shape.sizes or not set(inside) <= set(shape.sizes):
        return folders.read_classes(folder, base)
    rows = Rows(folder, [], [])
    for size in inside:
        part = folders.read_classes(folder / size, base)
        rows.names.extend(part.names)
        rows.labels.extend(part.labels)
    return rows.take(sorted(range(len(rows.labels)), key=rows.labels.__getitem__))


def _order(test: Rows, order: Path | None, folder: Path) -> Iterable[int]:
    """The places of the test images in the order of the submission."""
    if order is not None:
        return read_order(order, test.names, folder)
    stems = [Path(name).stem for name in test.names]
    numbered = all(stem.isdecimal() for stem in stems)
    keys = [int(stem) for stem in stems] if numbered else test.names
    return sorted(range(len(keys)), key=keys.__getitem__)


def _find_faces(survey: Survey, shape: Shape, splits: SplitsSection) -> Faces:
    faces = {}
    for split, (names, places) in shape.pairs.items():
        path = survey.text(*names)
        if path is None:
            log.warning("%s: no %s pairs (%s)", survey.root, split, ", ".join(names))
            continue
        if splits.verify is not None:
            faces[split] = path, settle(find_named(survey.root, "verify", splits.verify))
            continue
        fits = survey.named(places)
        if set(places) & {*shape.splits["dev"], *shape.splits["test"]}:  # the other one's names too
            fits = [place for place in fits if survey.side(place) == "verification"]
        folder = survey.only(fits, f"the images of the {split} pairs")
        if folder is None:
            raise UserError(f"{path}: its images' folder ({' or '.join(places)}) is missing")
        faces[split] = path, folder
    return faces


def _add_pairs(draft: Draft, faces: Faces, shape: Shape) -> None:
    """Both pair files and the images they name."""
    assert draft.root is not None
    rows, names = {}, {}
    for split, (path, folder) in faces.items():
        rows[split] = read_pairs(path, _images(folder), folder, any_positive=shape.any_positive)
        prefix = relative(folder, draft.root)
        names[split] = [(prefix + row.a, prefix + row.b) for row in rows[split]]
    if "val" in rows:
        refuse_unmeasurable(faces["val"][0], rows["val"])
    used = sorted({name for part in names.values() for pair in part for name in pair})
    item = dict(zip(used, draft.add_unlabelled(VERIFY, used).tolist(), strict=True))
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
    images = set(listing.images)
    for name in listing.folders if deep else ():
        images |= {f"{name}/{image}" for image in _images(folder / name, deep - 1)}
    return images
