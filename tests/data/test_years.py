"""Every HW2P2 year's tree, read by its layout and by `auto`, against a plain reading."""

import logging
import os
import shutil

import numpy as np
import pytest

from starter.data import load_catalog
from starter.data.layouts import disk
from starter.errors import UserError
from tests.data.trees import replace_line, section, write
from tests.data.years import YEARS, text


def path(catalog, base, i) -> str:
    return os.path.relpath(catalog.path(i), base).replace(os.sep, "/")


def read(catalog, base, split):
    return [
        (path(catalog, base, i), catalog.classes[catalog.label_N[i]]) for i in catalog.index(split)
    ]


def compare(catalog, expected) -> None:
    base = expected.base
    assert list(catalog.classes) == expected.classes
    assert read(catalog, base, "train") == expected.train
    assert read(catalog, base, "dev") == expected.dev
    assert [path(catalog, base, i) for i in catalog.index("test")] == expected.test
    if expected.val:
        val, test = catalog.pairs["val"], catalog.pairs["test"]
        rows = zip(val.a_P, val.b_P, val.same_P, strict=True)
        assert [
            (path(catalog, base, a), path(catalog, base, b), same) for a, b, same in rows
        ] == expected.val
        assert [
            (path(catalog, base, a), path(catalog, base, b))
            for a, b in zip(test.a_P, test.b_P, strict=True)
        ] == expected.pairs
        assert test.same_P is None and catalog.gallery is None
        if expected.pair_texts is not None:
            assert test.text_P == expected.pair_texts


def compare_gallery(catalog, expected) -> None:
    gallery, base = catalog.gallery, expected.base
    people = [gallery.people[k] for k in gallery.identity_G]
    known = [path(catalog, base, i) for i in gallery.known_G]
    assert list(zip(known, people, strict=True)) == expected.known
    answers = [gallery.people[k] if k >= 0 else None for k in gallery.answer_Q]
    dev = [path(catalog, base, i) for i in gallery.dev_Q]
    assert list(zip(dev, answers, strict=True)) == expected.unknown_dev
    assert [path(catalog, base, i) for i in gallery.test_T] == expected.unknown_test
    nobody = any(who is None for _, who in expected.unknown_dev)
    assert gallery.no_match == ("n000000" if nobody else None)
    pairs = catalog.pairs["val"]  # made of known and labelled faces, to watch the EER by
    who = dict(expected.known) | dict(expected.unknown_dev)
    for a, b, same in zip(pairs.a_P, pairs.b_P, pairs.same_P, strict=True):
        first, second = who[path(catalog, base, a)], who[path(catalog, base, b)]
        assert (first == second) == same and None not in (first, second)


@pytest.mark.parametrize("named", [True, False], ids=["by name", "auto"])
@pytest.mark.parametrize("year", YEARS)
def test_a_year_equals_a_plain_reading(tmp_path, year, named, caplog):
    expected = YEARS[year](tmp_path)
    with caplog.at_level(logging.INFO):
        catalog = load_catalog(section(tmp_path, expected.layout if named else "auto"))
    compare(catalog, expected)
    if expected.known:
        compare_gallery(catalog, expected)
    said = f"recognised {expected.layout} (HW2P2"
    assert (said in caplog.text) == (not named)


@pytest.mark.parametrize("mount", ["competitions/slug", "slug", "datasets/owner/slug"])
@pytest.mark.parametrize("year", ["F26", "S24", "S22", "F21"])
def test_kaggles_mount_points_are_one_and_the_same(tmp_path, monkeypatch, year, mount):
    monkeypatch.setattr(disk, "KAGGLE", tmp_path / "input")
    plain = YEARS[year](tmp_path / "plain")
    wanted = load_catalog(section(tmp_path / "plain", plain.layout)).fingerprint()
    shutil.copytree(tmp_path / "plain", tmp_path / "input" / mount)
    for given in ("slug", "competitions/slug"):  # wherever it is said to be, it is found
        catalog = load_catalog(section(tmp_path / "input" / given, plain.layout))
        assert catalog.fingerprint() == wanted
    whole = load_catalog(section(tmp_path / "input", "auto"))
    assert whole.fingerprint() == wanted


@pytest.mark.parametrize("year", ["F26", "S22", "F21"])
def test_windows_slashes_and_folders_in_front_of_pairs(tmp_path, year):
    expected = YEARS[year](tmp_path)
    wanted = load_catalog(section(tmp_path, expected.layout)).fingerprint()
    for file in [*expected.base.rglob("*pairs*.txt"), *expected.base.rglob("verification_*.csv")]:
        lines = file.read_text().splitlines()
        comma = "," if file.suffix == ".csv" else " "
        spelled = [
            comma.join(
                "C:\\faces\\" + cell.replace("/", "\\") if cell.endswith(".jpg") else cell
                for cell in line.split(comma)
            )
            for line in lines
        ]
        file.write_text("\r\n".join(spelled) + "\r\n")
    assert load_catalog(section(tmp_path, expected.layout)).fingerprint() == wanted


def test_a_doubled_folder_reads_like_a_plain_one(tmp_path):
    expected = YEARS["F26"](tmp_path)
    for name in ("ver_data", "cls_data/train/images"):
        folder = expected.base / name
        folder.rename(expected.base / "aside")
        (expected.base / "aside").rename((folder.mkdir() or folder) / folder.name)
    catalog = load_catalog(section(tmp_path))
    assert len(catalog.index("train")) == 6 and len(catalog.pairs["val"].a_P) == 3
    assert catalog.names[0] == "cls_data/train/images/images/train_000004.jpg"


def test_a_header_in_labels(tmp_path):
    expected = YEARS["F26"](tmp_path)
    wanted = load_catalog(section(tmp_path)).fingerprint()
    labels = expected.base / "cls_data/train/labels.txt"
    labels.write_text("file label\n" + labels.read_text())
    assert load_catalog(section(tmp_path)).fingerprint() == wanted


def test_classification_alone_trains_and_says_what_is_missing(tmp_path, caplog):
    YEARS["S22"](tmp_path)
    shutil.rmtree(tmp_path / "11-785-s22-hw2p2-verification")
    catalog = load_catalog(section(tmp_path, "hw2p2_s22"))
    assert catalog.pairs == {} and len(catalog.index("test")) == 3
    assert "no val pairs (verification_dev.csv)" in caplog.text


@pytest.mark.parametrize(
    ("year", "file", "line", "said"),
    [
        ("S24", "verification_dev.csv", "0,n000999", ":2: 'n000999' is no"),
        ("S24", "verification_dev.csv", "a", ":1: no column label"),
        ("S21", "classification_test.txt", "9.jpg", "no image 9.jpg"),
        ("F21", "verification_pairs_val.txt", "x.jpg a.jpg 1", "x.jpg"),
    ],
)
def test_a_bad_line_is_named(tmp_path, year, file, line, said):
    expected = YEARS[year](tmp_path)
    place = next(tmp_path.rglob(file))
    replace_line(place, 2 if "," in line else 1, line)
    with pytest.raises(UserError) as caught:
        load_catalog(section(tmp_path, expected.layout))
    assert f"{place}:" in str(caught.value) and said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parts_that_lack_or_are_two(tmp_path):
    expected = YEARS["S24"](tmp_path)
    place = next(tmp_path.rglob("verification_dev.csv"))
    rows = place.read_text()
    place.write_text(rows + "4,n000100\n")
    with pytest.raises(UserError, match="4 rows for the 3 images"):
        load_catalog(section(tmp_path, expected.layout))
    place.write_text(rows)
    for k in range(2):
        write(tmp_path / "another" / "known" / f"n{k}" / "a.jpg")
    with pytest.raises(UserError, match="holds 2 of the folder known"):
        load_catalog(section(tmp_path, expected.layout))
    shutil.rmtree(tmp_path / "another")
    shutil.rmtree(next(tmp_path.rglob("train")))
    with pytest.raises(UserError, match=r"no split train.* train or train_subset .*F22, S23"):
        load_catalog(section(tmp_path, expected.layout))


def test_what_fits_nothing_is_told_what_is_nearest(tmp_path):
    write(tmp_path / "known" / "n1" / "a.jpg")
    write(tmp_path / "unknown_dev" / "0.jpg")
    text(tmp_path / "notes.txt", "hello")
    with pytest.raises(UserError) as caught:
        load_catalog(section(tmp_path, "auto", splits={"train": "nowhere"}))
    message = str(caught.value)
    assert "fits no layout; looked for hw2p2, hw2p2_f22" in message
    assert "found known, unknown_dev, notes.txt" in message
    assert "nearest is hw2p2_f22 (HW2P2, F22, S23, F23, S24), which lacks train/" in message


def test_two_layouts_that_fit_equally_are_both_named(tmp_path):
    YEARS["F26"](tmp_path)
    YEARS["S20"](tmp_path / "older")
    with pytest.raises(UserError) as caught:
        load_catalog(section(tmp_path, "auto"))
    message = str(caught.value)
    assert "fits 2 layouts equally: hw2p2 " in message and "hw2p2_s19 " in message
    assert "Choose one with data.layout=hw2p2" in message


def test_a_picture_of_each_known_person_makes_no_pairs(tmp_path):
    expected = YEARS["S24"](tmp_path)
    next(tmp_path.rglob("verification_dev.csv")).unlink()
    for i in tmp_path.rglob("n000?00_1.jpg"):
        i.unlink()
    catalog = load_catalog(section(tmp_path, expected.layout))
    assert catalog.pairs == {} and len(catalog.gallery.dev_Q) == 0
    assert np.array_equal(catalog.gallery.identity_G, [0, 1])


def test_a_picture_beside_the_folders_hides_nothing(tmp_path):
    expected = YEARS["F21"](tmp_path)
    wanted = load_catalog(section(tmp_path, "auto")).fingerprint()
    for place in (tmp_path, tmp_path / "train_data", tmp_path / "val_data"):
        write(place / "preview.png")
    catalog = load_catalog(section(tmp_path, "auto"))
    assert list(catalog.classes) == expected.classes and catalog.fingerprint() == wanted


def test_a_root_of_very_many_folders_is_looked_into_no_further(tmp_path, monkeypatch, caplog):
    YEARS["F26"](tmp_path)
    for i in range(9):
        (tmp_path / "aaa" / str(i)).mkdir(parents=True)
    monkeypatch.setattr(disk, "MOST", 3)
    with pytest.raises(UserError, match="fits no layout"):
        load_catalog(section(tmp_path, "auto", splits={"train": "nowhere"}))
    assert "holds more than 3 folders" in caplog.text
