"""Uneven classes made by leaving training images out."""

import dataclasses

import numpy as np

from starter.data.catalog import DEV, TRAIN, VERIFY, Catalog, Pairs
from starter.data.training_set import long_tail


def catalog():
    """4 classes of 100 training images and 10 dev images, and 6 images of pairs."""
    label_N = np.repeat([0, 1, 2, 3, 0, 1, 2, 3, -1], [100] * 4 + [10] * 4 + [6])
    split_N = np.repeat([TRAIN, DEV, VERIFY], [400, 40, 6]).astype(np.uint8)
    names = [f"x/{i}" for i in range(446)]
    pairs = Pairs(np.array([440, 441, 5]), np.array([443, 445, 6]), np.array([True, False, True]))
    return Catalog(
        None,
        names,
        label_N,
        split_N,
        tuple("abcd"),
        {"val": pairs},
        array_N=(np.arange(446) % 256).astype(np.uint8)[:, None, None],
        ids=names,
    )


def test_classes_fall_off_exponentially_and_all_else_stays():
    before, after = catalog(), long_tail(catalog(), 8.0, seed=1)
    train_M = after.index("train")
    counts = np.bincount(after.label_N[train_M])
    assert counts.tolist() == [100, 50, 25, 12]  # 100 * 8^(-k/3)
    assert len(after.index("dev")) == 40 and len(after.index("verify")) == 6
    for old, new in (
        (before.pairs["val"].a_P, after.pairs["val"].a_P),
        (before.pairs["val"].b_P, after.pairs["val"].b_P),
    ):
        assert [before.names[i] for i in old] == [after.names[i] for i in new]
    assert after.ids == after.names
    numbers = np.array([int(name[2:]) for name in after.names])
    assert (after.array_N[:, 0, 0] == numbers % 256).all()
    assert after.fingerprint() != before.fingerprint()


def test_images_of_pairs_stay_and_one_image_of_a_class_remains():
    known = catalog()
    last = np.flatnonzero(known.label_N == 3)[:2]
    pairs = Pairs(last[:1], last[1:], np.array([True]))
    after = long_tail(dataclasses.replace(known, pairs={"val": pairs}), 1e6)
    names = {after.names[i] for i in after.index("train") if after.label_N[i] == 3}
    assert {known.names[i] for i in last} <= names
    assert 2 <= len(names) <= 3
    assert long_tail(known, 1) is known
