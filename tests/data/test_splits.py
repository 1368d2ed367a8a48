"""Dev splits by class, group, time and column, against counts."""

import numpy as np
import pytest

from starter.data.catalog import DEV, TRAIN, Catalog
from starter.data.splits import split_dev
from starter.errors import UserError
from starter.recipe.schema.data import SplitSection

GROUPS = np.repeat(np.arange(40), 5)  # of 5 images, ten for each of 4 classes


def table_of(root, label_N, columns) -> Catalog:
    names = [str(i) for i in range(len(label_N))]
    classes = tuple(map(str, range(label_N.max() + 1)))
    return Catalog(
        root, names, label_N, np.full(len(names), TRAIN, np.uint8), classes, columns=columns
    )


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_dev_split_is_stratified(tmp_path, fraction):
    size_K = np.array([1, 2, 3, 10, 50])
    identity_N = np.random.default_rng(0).permutation(np.repeat(np.arange(5), size_K))
    names, split_N = [str(i) for i in range(66)], np.full(66, TRAIN, np.uint8)
    catalog = Catalog(tmp_path, names, identity_N, split_N, tuple("abcde"))
    split_N = split_dev(catalog, SplitSection(dev=fraction))
    for k, size in enumerate(size_K):
        moved = (split_N[identity_N == k] == DEV).sum()
        assert moved == (0 if size == 1 else min(max(round(fraction * size), 1), size - 1))
    assert np.array_equal(split_N, split_dev(catalog, SplitSection(dev=fraction)))


@pytest.mark.parametrize("by", ["group", "stratified_group"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_no_group_is_on_both_sides(tmp_path, by, share):
    cells = [f"t{g}" for g in GROUPS]
    catalog = table_of(tmp_path, GROUPS % 4, {"track": cells})
    split_N = split_dev(catalog, SplitSection(dev=share, by=by, column="track"))
    dev, train = set(GROUPS[split_N == DEV]), set(GROUPS[split_N == TRAIN])
    assert not dev & train and (split_N == DEV).mean() == pytest.approx(share, abs=0.02)
    if by == "stratified_group":
        counts = np.bincount(GROUPS[split_N == DEV] % 4, minlength=4)
        assert counts.max() - counts.min() <= 5
    assert np.array_equal(
        split_N, split_dev(catalog, SplitSection(dev=share, by=by, column="track"))
    )


def test_a_class_of_one_group_is_trained(tmp_path):
    catalog = table_of(tmp_path, np.arange(8) // 2, {"g": [str(i // 2) for i in range(8)]})
    with pytest.raises(UserError, match=r"data\.split\.dev: nothing can be moved"):
        split_dev(catalog, SplitSection(dev=0.25, by="group", column="g"))


def test_the_last_by_time_and_the_rows_that_a_column_marks_are_dev(tmp_path):
    label_N = np.arange(12) % 2
    days = [str(day) for day in (9, 10, 11, 1, 2, 3, 4, 5, 6, 7, 8, 12)]
    columns = {
        "day": days,
        "is_valid": ["True", *["False"] * 10, "True"],
        "fold": list("120120120120"),
    }
    catalog = table_of(tmp_path, label_N, columns)
    by = {
        name: np.flatnonzero(split_dev(catalog, SplitSection(dev=0.25, by=by, column=name)) == DEV)
        for name, by in (("day", "time"), ("is_valid", "column"), ("fold", "column"))
    }
    assert by["day"].tolist() == [1, 2, 11]
    assert by["is_valid"].tolist() == [0, 11]
    assert by["fold"].tolist() == [2, 5, 8, 11]  # the smallest


def test_a_column_that_is_not_there(tmp_path):
    catalog = table_of(tmp_path, np.arange(8) % 2, {"track": list("aabbccdd")})
    with pytest.raises(UserError, match="no column trak; did you mean 'track'"):
        split_dev(catalog, SplitSection(by="group", column="trak"))
