"""MNIST, FashionMNIST, CIFAR and Omniglot as torchvision's readers expect and fetch them."""

import os
import pickle
from pathlib import Path

import numpy as np

from starter.data.catalog import DEV, TEST, TRAIN, Catalog
from starter.data.layouts import folders
from starter.data.layouts.draft import Draft, Rows
from starter.data.layouts.survey import Survey
from starter.errors import UserError
from starter.recipe.schema.data import SplitsSection

ARRAYS = {  # layout -> torchvision's class, the folder of its files under root
    "mnist": ("MNIST", "MNIST/raw/"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST/raw/"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py/"),
    "cifar100": ("CIFAR100", "cifar-100-python/"),
}


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
    for key, allowed in (("train", "train"), ("dev", "test"), ("test", "test"), ("verify", None)):
        name = getattr(splits, key)
        if name is not None and name != allowed:
            parts = f"may only be {allowed}" if allowed else "must be unset"
            raise UserError(f"data.splits.{key}: {layout} has no part {name}; it {parts}")
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
        _fetch_omniglot(root)
    survey = Survey(root)
    train, verify = (
        survey.only([name], f"the folder {name}")
        for name in ("images_background", "images_evaluation")
    )
    if train is None:
        raise UserError(f"data.root: {root} has no folder images_background/ (layout omniglot)")
    base = Path(os.path.commonpath([train.parent, (verify or train).parent]))
    names = {"train": train.relative_to(base).as_posix()}
    if verify is not None:
        names["verify"] = verify.relative_to(base).as_posix()
    return folders.read(base, splits=splits.model_copy(update=names))


def _fetch_omniglot(root: Path) -> None:
    """Both parts, unless they are there."""
    from torchvision.datasets import Omniglot

    try:
        for background in (True, False):
            Omniglot(root, background=background, download=True)
    except (RuntimeError, OSError) as error:
        raise UserError(f"data.download: {root}: {str(error).splitlines()[0]}") from error
