import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from starter.data import load_catalog, resolve_root
from starter.errors import UserError
from tests.data.trees import competition, replace_line, section, write


@pytest.mark.parametrize("nested", ["", "hw2p2_data", "faces-competition"])
def test_names_are_relative_to_the_folder_around_the_splits(tmp_path, nested):
    root = competition(tmp_path / nested)
    catalog = load_catalog(section(tmp_path))
    assert catalog.root == root == resolve_root(section(tmp_path))
    test = [catalog.names[i] for i in catalog.index("test")]
    assert test == [f"cls_data/test/images/test_{i:03d}.jpg" for i in range(3)]
    assert catalog.submission_name(catalog.index("test")[0]) == "test_000.jpg"
    used = [catalog.names[i] for i in catalog.index("verify")]
    assert used == [f"ver_data/{x}.jpg" for x in "abcde"]  # f.jpg is in no pair; e.jpg once
    for split in ("test", "verify"):
        assert (catalog.label_N[catalog.index(split)] == -1).all()
    assert catalog.identity_N is None and catalog.pairs["val"].same_P.dtype == bool


def test_a_labelled_test_split_is_read_in_sorted_order(tmp_path):
    root = competition(tmp_path, test_labels=True)
    lines = (root / "cls_data" / "test" / "labels.txt").read_text().splitlines()
    catalog = load_catalog(section(root))
    rows = [(catalog.names[i], catalog.label_N[i]) for i in catalog.index("test")]
    wanted = [line.split() for line in sorted(lines)]
    assert rows == [(f"cls_data/test/images/{name}", int(label)) for name, label in wanted]


@pytest.mark.parametrize("place", ["", "ver_data", "cls_data"])
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
@pytest.mark.parametrize("comma", [True, False])
@pytest.mark.parametrize("header_or_not", [True, False])
def test_pair_files_in_either_place_and_form(tmp_path, place, suffix, comma, header_or_not):
    wanted = load_catalog(section(competition(tmp_path / "a"))).pairs
    root = competition(tmp_path / "b")
    for stem in ("val_pairs", "test_pairs"):
        text = (root / f"{stem}.txt").read_text()
        (root / f"{stem}.txt").unlink()
        header = "file1 file2 label\n" if stem == "val_pairs" else "file1 file2\n"
        if header_or_not:
            text = header + text
        if comma:
            text = text.replace(" ", ",").replace("\n", "\r\n")
        (root / place / f"{stem}{suffix}").write_text(text)
    pairs = load_catalog(section(root)).pairs
    for name in ("val", "test"):
        assert np.array_equal(pairs[name].a_P, wanted[name].a_P)
        assert np.array_equal(pairs[name].b_P, wanted[name].b_P)
    assert np.array_equal(pairs["val"].same_P, wanted["val"].same_P)


def test_labelled_test_pairs_csv_without_header_and_paths_in_names(tmp_path):
    root = competition(tmp_path)
    (root / "test_pairs.txt").unlink()
    (root / "test_pairs.csv").write_text("ver_data/a.jpg,dev\\b.jpg,1\nc.jpg,d.jpg,0\n")
    pairs = load_catalog(section(root)).pairs["test"]
    assert pairs.same_P.tolist() == [True, False]


def test_windows_line_ends_a_byte_order_mark_and_an_images_prefix(tmp_path):
    root = competition(tmp_path)
    wanted = load_catalog(section(root))
    path = root / "cls_data" / "train" / "labels.txt"
    lines = [f"images/{line}" for line in path.read_text().splitlines()]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    catalog = load_catalog(section(root))
    assert catalog.fingerprint() == wanted.fingerprint()


def test_other_split_names(tmp_path):
    root = competition(tmp_path)
    (root / "cls_data" / "train").rename(root / "cls_data" / "training_set")
    (root / "cls_data" / "dev").rename(root / "cls_data" / "val")
    (root / "ver_data").rename(root / "faces")
    keys = {"train": "training_set", "verify": "faces"}
    catalog = load_catalog(section(root, splits=keys))
    assert len(catalog.index("train")) == 12 and len(catalog.index("dev")) == 6
    assert catalog.names[catalog.index("verify")[0]] == "faces/a.jpg"


def test_pairs_are_made_where_none_ship(tmp_path):
    root = competition(tmp_path)
    (root / "val_pairs.txt").unlink()
    for k in (3, 4):
        write(root / "cls_data/train/images" / f"more_{k}.jpg", k)
    with (root / "cls_data/train/labels.txt").open("a") as file:
        file.write("more_3.jpg 3\nmore_4.jpg 3\n")
    catalog = load_catalog(section(root, pairs={"hold_out": 2, "count": 6}))
    assert len(catalog.classes) == 2 and len(catalog.pairs["val"].a_P) == 6
    assert catalog.pairs["test"].same_P is None


def edit(path: str, line: int, text: str):
    """A mistake: line `line` of a file replaced."""
    return lambda root: replace_line(root / path, line, text)


def remove(path: str):
    def apply(root: Path) -> None:
        shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()

    return apply


TRAIN, DEV = "cls_data/train/labels.txt", "cls_data/dev/labels.txt"


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (edit(TRAIN, 3, "train_010.jpg"), "labels.txt:3: expected '<file> <label>'"),
        (edit(TRAIN, 3, "train_010.jpg two"), "labels.txt:3: expected '<file> <label>'"),
        (edit(TRAIN, 3, "train_010.jpg -1"), "labels.txt:3: expected '<file> <label>'"),
        (edit(TRAIN, 3, "train_010.jpg 9"), "class 3 has no image"),
        (edit(TRAIN, 3, "train_010.jpg 900000000000"), "is on line 3)"),
        (edit(TRAIN, 3, "train_005.jpg 2"), "labels.txt:3: train_005.jpg is already on line 2"),
        (edit(TRAIN, 3, "other.jpg 2"), "labels.txt:3: "),
        (edit(DEV, 2, "dev_005.jpg 3"), "labels.txt:2: the class '3' is not among the 3 classes"),
        (remove("cls_data/train/images/train_000.jpg"), "labels.txt:1: "),
        (remove("cls_data/dev"), "no split dev; it has test, train"),
        (remove("cls_data/train"), "no split train"),
        (remove("cls_data/train/labels.txt"), "has images/ but no labels.txt"),
        (remove("cls_data"), "holds cls_data/ (layout hw2p2); it holds ver_data"),
        (remove("ver_data"), "folder"),
        (remove("ver_data/c.jpg"), "val_pairs.txt:2: "),
        (edit("val_pairs.txt", 2, "a.jpg c.jpg 2"), "val_pairs.txt:2: the label '2' is neither"),
        (edit("val_pairs.txt", 2, "a.jpg c.jpg"), "val_pairs.txt:2: no label, unlike line 1"),
        (edit("val_pairs.txt", 2, "a.jpg"), "val_pairs.txt:2: expected two names"),
        (edit("test_pairs.txt", 3, "a.jpg zz.jpg"), "test_pairs.txt:3: "),
        (lambda root: (root / "test_pairs.txt").write_text("\n"), "holds no pairs"),
        (lambda root: (root / "val_pairs.txt").write_text("a.jpg b.jpg\n"), "need a label"),
        (lambda root: (root / "val_pairs.txt").write_text("a.jpg b.jpg 1\n"), "every pair is 1"),
        (lambda root: (root / TRAIN).write_text("\n"), "an empty split"),
        (lambda root: (root / TRAIN).write_bytes(b"\xff\xfe1 2"), "cannot be read as text"),
    ],
)
def test_mistakes_are_one_line_that_names_the_place(tmp_path, mistake, said):
    root = competition(tmp_path / "set")
    mistake(root)
    with pytest.raises(UserError) as caught:
        load_catalog(section(root))
    message = str(caught.value)
    assert said in message and "\n" not in message and str(tmp_path) in message


def test_images_that_no_line_names_are_left_out_loudly(tmp_path, caplog):
    root = competition(tmp_path)
    write(root / "cls_data/train/images/zz.jpg")
    with caplog.at_level(logging.WARNING):
        catalog = load_catalog(section(root))
    assert len(catalog.index("train")) == 12 and "1 images are not in labels.txt" in caplog.text


def test_an_absent_root_says_what_lies_nearby(tmp_path, monkeypatch):
    competition(tmp_path / "hw2p2_data")
    with pytest.raises(UserError, match=r"did you mean .*hw2p2_data"):
        load_catalog(section(tmp_path / "hw2p2_dta"))
    with pytest.raises(UserError, match="is not set"):
        load_catalog(section(Path("$NO_SUCH_VARIABLE/data")))
    monkeypatch.setenv("MY_DATA", str(tmp_path))
    assert len(load_catalog(section(Path("$MY_DATA/hw2p2_data")))) == 26
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_catalog(section(Path("~/hw2p2_data")))) == 26
