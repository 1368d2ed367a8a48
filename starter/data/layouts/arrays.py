"""MNIST, FashionMNIST and CIFAR as torchvision's readers expect them: images in one array."""

import pickle
from pathlib import Path

import numpy as np

from starter.data.catalog import DEV, TEST, TRAIN, Catalog
from starter.data.layouts.disk import expand_root
from starter.data.layouts.draft import Draft
from starter.errors import UserError
from starter.recipe.schema.data import DataSection

EXPECTED = {
    "mnist": "MNIST/raw/train-images-idx3-ubyte and its three fellows",
    "fashion_mnist": "FashionMNIST/raw/train-images-idx3-ubyte and its three fellows",
    "cifar10": "cifar-10-batches-py/data_batch_1 and its fellows",
    "cifar100": "cifar-100-python/train, test and meta",
}
KINDS = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
}


def read(data: DataSection) -> Catalog:
    """The train part as train (and a share of it as dev), the test part as labelled test.

    With data.splits.dev=test the test part is dev instead, and there is no test split.

    Raises:
        UserError: files absent or damaged; a split that is no part of the set.
    """
    root = expand_root(data.root, make=data.download)
    second = _second_split(data)
    draft = Draft(root=None, identities=[])
    images = []
    for part, split in (("train", TRAIN), ("test", second)):
        image_M, label_M, draft.identities = _read_part(data, root, part)
        images.append(image_M)
        draft.add(split, [f"{part}/{i}" for i in range(len(label_M))], label_M.tolist())
    draft.array_N = np.concatenate(images)
    return draft.finish(data)


def _second_split(data: DataSection) -> int:
    """What the test part is used as."""
    splits = data.splits
    for key, allowed in (("train", "train"), ("dev", "test"), ("test", "test"), ("verify", None)):
        name = getattr(splits, key)
        if name is not None and name != allowed:
            parts = f"may only be {allowed}" if allowed else "must be unset"
            raise UserError(f"data.splits.{key}: {data.layout} has no part {name}; it {parts}")
    if splits.dev and splits.test:
        raise UserError("data.splits: the test part cannot be both dev and test")
    return DEV if splits.dev else TEST


def _read_part(
    data: DataSection, root: Path, part: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images uint8 (M,H,W) or (M,H,W,3), labels int64, class names."""
    from torchvision import datasets

    layout = data.layout
    kind = getattr(datasets, KINDS[layout])
    try:
        found = kind(root, train=part == "train", download=data.download)
    except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"data.root: {root} holds no readable {kind.__name__} ({EXPECTED[layout]}): "
            f"{str(error).splitlines()[0]}"
        ) from error
    label_M = np.asarray(found.targets, np.int64)
    if layout == "mnist":
        return found.data.numpy(), label_M, [str(k) for k in range(10)]
    image_M = found.data.numpy() if layout == "fashion_mnist" else found.data
    return image_M, label_M, list(found.classes)
