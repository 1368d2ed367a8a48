"""Public sets as they are published: MNIST, FashionMNIST, CIFAR, Omniglot and CUB-200-2011."""

import os
import pickle
from pathlib import Path
from typing import Literal

import numpy as np

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog
from starter.data.layouts import folders
from starter.data.layouts.disk import Survey, read_lines, refuse_twice
from starter.data.layouts.draft import Draft, Rows
from starter.errors import UserError
from starter.recipe.schema.data import SplitsSection

ARRAYS = {  # layout -> torchvision's class, the folder of its files under root
    "mnist": ("MNIST", "MNIST/raw/"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST/raw/"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py/"),
    "cifar100": ("CIFAR100", "cifar-100-python/"),
}
IMAGES, LABELS, SPLIT, CLASSES = CUB_FILES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "classes.txt",
)
TRAINED = 100  # classes of CUB's retrieval task, the first; the others are only searched


def read_array(root: Path, *, layout: str, splits: SplitsSection, download: bool) -> Catalog:
    """The train part as train (and a share of it as dev), the test part as labelled test.

    With data.splits.dev=test the test part is dev instead, and there is no test split.

    Raises:
        UserError: files absent or damaged; a split that is no part of the set.
    """
    second = _second_split(layout, splits)
    parts = [_read_part(layout, root, part, download) for part in ("train", "test")]
    classes = parts[0][2]
    draft = Draft(None, classes)
    for split, part, (_, label_M, _) in zip((TRAIN, second), ("train", "test"), parts, strict=True):
        names = [f"{part}/{i}" for i in range(len(label_M))]
        draft.add(split, Rows(root, names, [classes[k] for k in label_M]))
    draft.array_N = np.concatenate([image_M for image_M, _, _ in parts])
    return draft.finish()


def _second_split(layout: str, splits: SplitsSection) -> int:
    """What the test part is used as."""
    parts = {"train": "train", "dev": "test", "test": "test"}
    for key, name in splits.model_dump(exclude_none=True).items():
        if name != parts.get(key):
            may = f"may only be {parts[key]}" if key in parts else "must be unset"
            raise UserError(f"data.splits.{key}: {layout} has no part {name}; it {may}")
    if splits.dev and splits.test:
        raise UserError("data.splits: the test part cannot be both dev and test")
    return DEV if splits.dev else TEST


def _read_part(
    layout: str, root: Path, part: str, download: bool
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images uint8 (M,H,W) or (M,H,W,3), labels int64, class names."""
    from torchvision import datasets

    kind, files = ARRAYS[layout]
    try:
        images = getattr(datasets, kind)(root, train=part == "train", download=download)
    except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"data.root: {root} holds no readable {kind} ({files}): {str(error).splitlines()[0]}"
        ) from error
    names = [str(k) for k in range(10)] if layout == "mnist" else list(images.classes)
    return np.asarray(images.data), np.asarray(images.targets, np.int64), names


def read_omniglot(root: Path, *, splits: SplitsSection, download: bool) -> Catalog:
    """The 964 characters of images_background to train on, the 659 others to verify.

    Raises:
        UserError: no images_background under data.root.
    """
    if download:
        from torchvision.datasets import Omniglot

        try:
            for background in (True, False):
                Omniglot(root, background=background, download=True)
        except (RuntimeError, OSError) as error:
            raise UserError(f"data.download: {root}: {str(error).splitlines()[0]}") from error
    survey = Survey(root)
    train, verify = survey.folder("images_background"), survey.folder("images_evaluation")
    if train is None:
        raise UserError(f"data.root: {root} has no folder images_background/ (layout omniglot)")
    base = Path(os.path.commonpath([train.parent, (verify or train).parent]))
    names = {"train": train.relative_to(base).as_posix()}
    if verify is not None:
        names["verify"] = verify.relative_to(base).as_posix()
    return folders.read(base, splits=splits.model_copy(update=names))


def read_cub(root: Path, *, task: Literal["classes", "retrieval"] = "classes") -> Catalog:
    """CUB-200-2011 as its archive lies; images in the order of their ids.

    Args:
        task: "classes": its training images train (a share of them dev), its test images are
            labelled test. "retrieval": all images of classes 1 to 100 train, those of 101 to 200
            are identities to verify and to retrieve.
    Raises:
        UserError: a file is missing, or a line is malformed (with file:line).
    """
    labels = Survey(root).text(LABELS)
    base = root if labels is None else labels.parent
    lacks = [name for name in CUB_FILES if not (base / name).is_file()]
    lacks += [] if (base / "images").is_dir() else ["images/"]
    if lacks:
        raise UserError(f"data.root: {base} lacks {', '.join(lacks)} (layout cub)")
    name_of, class_of, trains = (_table(base / name) for name in (CLASSES, LABELS, SPLIT))
    rows = {split: Rows(base, [], []) for split in (TRAIN, TEST, VERIFY)}
    for key, file in _table(base / IMAGES).items():
        number = class_of.get(key, "")
        if number not in name_of or key not in trains:
            raise UserError(
                f"{base}: image {key} has no class or no split ({', '.join(CUB_FILES)})"
            )
        split = TRAIN if trains[key] == "1" else TEST
        if task == "retrieval":
            split = TRAIN if int(number) <= TRAINED else VERIFY
        rows[split].names.append(f"images/{file}")
        rows[split].labels.append(name_of[number])
    trained = set(rows[TRAIN].labels)
    draft = Draft(base, [name for name in name_of.values() if name in trained])
    for split, part in rows.items():
        draft.add(split, part)
    return draft.finish()


def _table(path: Path) -> dict[str, str]:
    """ "<id> <value>" a line, by id, in the order of the ids."""
    rows = [(line, *text.partition(" ")) for line, text in read_lines(path)]
    for line, key, _, value in rows:
        if not value or not key.isdecimal():
            raise UserError(f"{path}:{line}: expected '<id> <value>', found {key + ' ' + value!r}")
    refuse_twice(path, [row[1] for row in rows], [row[0] for row in rows])
    return {key: value.strip() for _, key, _, value in sorted(rows, key=lambda row: int(row[1]))}
