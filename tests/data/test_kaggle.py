"""Tables of images, as Kaggle competitions ship them, against pandas or a plain list."""

import logging

import numpy as np
import pytest

from starter.data import load_catalog
from starter.errors import UserError
from tests.data.trees import class_folders, section, write
from tests.data.years import images, text

TABLE = [
    ("pics/10.jpg", "10", "train"),
    ("pics/a/2.jpg", "2", "Train"),
    ("pics/3.jpg", "2", "train"),
    ("pics/4.jpg", "10", "training"),
    ("pics/5.jpg", "10", "val"),
    ("pics/9.jpg", "", "test"),
    ("pics/8.jpg", "2", "test"),
    ("pics/11.jpg", "77", "verify"),
    ("pics/12.jpg", "77", "verify"),
    ("pics/13.jpg", "78", "verify"),
    ("pics/14.jpg", "78", "verify"),
]


def table(root, delimiter=",", header=("path", "label", "split"), spell=str, rows=TABLE, at=""):
    for name, _, _ in TABLE:
        write(root / name)
    lines = [delimiter.join([spell(name), *rest]) for name, *rest in rows]
    text(root / at / "images.csv", delimiter.join(header), *lines)
    return root


@pytest.mark.parametrize("layout", ["kaggle", "auto"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "spell",
    [str, lambda name: "D:\\my\\" + name.replace("/", "\\"), lambda name: "/home/me/" + name],
)
def test_a_table_equals_pandas_reading(tmp_path, layout, delimiter, spell):
    import pandas

    table(tmp_path, delimiter, spell=spell)
    catalog = load_catalog(section(tmp_path, layout))
    rows = pandas.read_csv(tmp_path / "images.csv", sep=delimiter, dtype=str, keep_default_na=False)
    assert catalog.classes == ("2", "10")  # by number
    names = {"training": "train", "val": "dev"}
    for split in ("train", "dev", "test", "verify"):
        part = rows[[names.get(word.lower(), word.lower()) == split for word in rows["split"]]]
        wanted = [
            (p.replace("\\", "/").split("/", 1)[-1], label if split != "verify" else "")
            for p, label in zip(part["path"], part["label"], strict=True)
        ]
        labels = [
            catalog.classes[k] if k >= 0 else "" for k in catalog.label_N[catalog.index(split)]
        ]
        assert labels == [label for _, label in wanted]
        paths = [catalog.names[i] for i in catalog.index(split)]
        assert all(a.endswith(b) or b.endswith(a) for a, (b, _) in zip(paths, wanted, strict=True))
    assert len(catalog.pairs["val"].a_P) == 4


def test_named_columns_of_a_table_elsewhere_without_splits(tmp_path):
    rows = [(f"../{name}", "x" if i % 2 else "y", "-") for i, (name, _, _) in enumerate(TABLE)]
    table(tmp_path, header=("foto", "who", "rest"), rows=rows, at="lists")
    keys = {"file": "lists/images.csv", "path": "foto", "label": "who"}
    catalog = load_catalog(section(tmp_path, "kaggle", options=keys))
    assert catalog.classes == ("x", "y") and len(catalog.index("train")) == 9
    with pytest.raises(UserError, match=r"no column fotto.*did you mean 'foto'"):
        load_catalog(section(tmp_path, "kaggle", options=keys | {"path": "fotto"}))
    with pytest.raises(UserError, match=r"images\.csv:1: no column for the label.*foto, who, rest"):
        load_catalog(section(tmp_path, "kaggle"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("pics/3.jpg", "2", "holdout"), "the split 'holdout' is none of"),
        (("pics/3.jpg", "", "train"), "a train row without a class"),
        (("pics/3.jpg", "5", "val"), "the class '5' is not among the 2 classes"),
        (("pics/3.jpg", "2"), "2 cells under a header of 3"),
        (("pics/10.jpg", "10", "train"), "pics/10.jpg is already on line 2"),
    ],
)
def test_a_bad_row_of_a_table_is_told_with_its_line(tmp_path, row, said):
    table(tmp_path, rows=[*TABLE[:2], row, *TABLE[3:]])
    with pytest.raises(UserError) as caught:
        load_catalog(section(tmp_path, "kaggle"))
    assert f"images.csv:4: {said}" in str(caught.value)


@pytest.mark.parametrize("path", ["pics/none.jpg", "../../../etc/a.jpg", "elsewhere/3.jpg"])
def test_rows_without_an_image_are_counted(tmp_path, caplog, path):
    (tmp_path / "elsewhere").mkdir()
    table(tmp_path, rows=[*TABLE[:2], (path, "2", "train"), *TABLE[3:]])
    with caplog.at_level(logging.WARNING):
        catalog = load_catalog(section(tmp_path, "kaggle"))
    assert len(catalog) == len(TABLE) - 1
    assert f"1 of {len(TABLE)} rows have no image" in caplog.text
    assert f"images.csv:4: no image {path}" in caplog.text


def test_a_table_goes_before_folders_of_classes(tmp_path):
    class_folders(tmp_path, {"a": 2, "b": 2})
    rows = [f"{k}/0{i}.png,other {k}" for k in "ab" for i in (0, 1)]
    text(tmp_path / "labels.csv", "file,label", *rows)
    assert load_catalog(section(tmp_path, "auto")).classes == ("other a", "other b")


def numbers(*places):
    return [f"{place}/{i:03d}.jpg" for place in places for i in range(8)]


TRAIN, TEST = numbers("train"), numbers("test")
IDS = [f"{i:03d}" for i in range(8)]
# By what a competition is like: images, files of lines, and what must come of it: the classes, the
# ids of the test images, the other columns.
COMPETITIONS = {
    "whales: a table with endings, the test folder, five labels in the sample": (
        [*TRAIN, *(f"test/t{i}.jpg" for i in range(3))],
        {
            "train.csv": ["Image,Id", *(f"{i}.jpg,w_{i[2]}" for i in IDS)],
            "sample_submission.csv": [
                "Image,Id",
                *(f"t{i}.jpg,w_0 new_whale" for i in (2, 0, 1)),
            ],
        },
        ([f"w_{i}" for i in range(8)], ["t2.jpg", "t0.jpg", "t1.jpg"], []),
    ),
    "happywhale: the sample's answers are of the second column": (
        [*numbers("train_images", "test_images")],
        {
            "train.csv": ["image,species,individual_id", *(f"{i}.jpg,orca,{i[2]}a" for i in IDS)],
            "sample_submission.csv": ["image,predictions", *(f"{i}.jpg,1a 2a" for i in IDS)],
        },
        ([f"{i}a" for i in range(8)], [f"{i}.jpg" for i in IDS], ["species"]),
    ),
    "landmarks: ids of hex digits, images nested by them, a label and a score in a cell": (
        [
            f"{part}/{i[0]}/{i[1]}/{i}.jpg"
            for part in ("train", "test")
            for i in ("0a1f", "1e10", "00b2")
        ],
        {
            "train.csv": ["id,landmark_id", "0a1f,20409", "1e10,7", "00b2,7"],
            "sample_submission.csv": ["id,landmarks", "00b2,7 0.5", "1e10,", "0a1f,20409 0.1"],
        },
        (["7", "20409"], ["00b2", "1e10", "0a1f"], []),
    ),
    "dogs: labels.csv, a probability column a class": (
        [*TRAIN, *TEST],
        {
            "labels.csv": ["id,breed", *(f"{i},{'ab'[int(i) % 2]}" for i in IDS)],
            "sample_submission.csv": ["id,a,b", *(f"{i},0.5,0.5" for i in IDS)],
        },
        (["a", "b"], IDS, []),
    ),
    "plants: one column of 0 and 1 a class, all images in one folder": (
        [f"images/{part}_{i}.jpg" for part in ("Train", "Test") for i in range(4)],
        {
            "train.csv": [
                "image_id,rust,healthy",
                *(f"Train_{i},{i % 2},{1 - i % 2}" for i in range(4)),
            ],
            "test.csv": ["image_id", *(f"Test_{i}" for i in (3, 1, 0, 2))],
            "sample_submission.csv": [
                "image_id,rust,healthy",
                *(f"Test_{i},0.5,0.5" for i in range(4)),
            ],
        },
        (["healthy", "rust"], [f"Test_{i}" for i in (3, 1, 0, 2)], []),
    ),
    "hotels: images in folders of chains, columns to group by": (
        [f"train_images/0/{i}.jpg" for i in IDS] + numbers("test_images"),
        {
            "train.csv": [
                "image,chain,hotel_id,timestamp",
                *(f"{i}.jpg,{int(i) % 2},9{i[2]},t" for i in IDS),
            ],
            "sample_submission.csv": ["image,hotel_id", *(f"{i}.jpg,90 91 92 93 94" for i in IDS)],
        },
        ([f"9{i}" for i in range(8)], [f"{i}.jpg" for i in IDS], ["chain", "timestamp"]),
    ),
    "animals: paths, a split column of query and database": (
        [f"images/{i}.JPG" for i in IDS],
        {
            "metadata.csv": [
                "image_id,identity,path,split",
                *(f"{int(i) + 70},{'xy'[int(i) % 2]},images/{i}.JPG,database" for i in IDS[:6]),
                *(f"{int(i) + 70},,images/{i}.JPG,query" for i in IDS[6:]),
            ],
            "sample_submission.csv": ["image_id,identity", "76,x", "77,new_individual"],
        },
        (["x", "y"], ["76", "77"], ["split"]),
    ),
    "fungi: several photos of an observation": (
        [*(f"photos/p{i}.jpg" for i in range(6)), *(f"photos/t{i}.jpg" for i in range(3))],
        {
            "train.csv": [
                "observationID,filename,class_id",
                *(f"o{i // 2},p{i}.jpg,{i // 2}" for i in range(6)),
            ],
            "test.csv": ["observationID,filename", "q1,t0.jpg", "q1,t1.jpg", "q2,t2.jpg"],
            "sample_submission.csv": ["observationID,predictions", "q2,0 1", "q1,0 1"],
        },
        (["0", "1", "2"], ["q1", "q1", "q2"], ["observationID"]),
    ),
}


@pytest.mark.parametrize("kind", COMPETITIONS)
@pytest.mark.parametrize("layout", ["kaggle", "auto"])
def test_a_competition_is_read_unedited(tmp_path, kind, layout):
    pictures, files, (classes, ids, columns) = COMPETITIONS[kind]
    images(tmp_path, *pictures)
    for name, lines in files.items():
        text(tmp_path / name, *lines)
    catalog = load_catalog(section(tmp_path, layout, split={"dev": 0}))
    assert list(catalog.classes) == classes
    test = catalog.index("test")
    assert [catalog.submission_name(i) for i in test] == ids
    assert not {catalog.names[i] for i in test} & {catalog.names[i] for i in catalog.index("train")}
    assert [name for name in catalog.columns if name not in ("image_id", "path")] == columns
    assert [sample.name for sample in catalog.samples] == ["sample_submission.csv"]


def test_pairs_in_a_table(tmp_path):
    images(tmp_path, *numbers("train/train", "test/test"))
    text(tmp_path / "train.csv", "filename,ground_truth", *(f"{i}.jpg,j{int(i) % 2}" for i in IDS))
    rows = [("7", "000.jpg", "003.jpg"), ("5", "003.jpg", "001.jpg")]
    text(
        tmp_path / "test.csv", "row_id,query_image,gallery_image", *(",".join(row) for row in rows)
    )
    text(tmp_path / "sample_submission.csv", "row_id,similarity", "7,0.5", "5,0.5")
    catalog = load_catalog(section(tmp_path, "auto"))
    pairs = catalog.pairs["test"]
    named = [
        (name, catalog.names[a], catalog.names[b])
        for name, a, b in zip(pairs.text_P, pairs.a_P, pairs.b_P, strict=True)
    ]
    assert named == [(row, f"test/test/{a}", f"test/test/{b}") for row, a, b in rows]
    assert len(catalog.index("verify")) == 3 and not len(catalog.index("test"))


@pytest.mark.parametrize("one_cell", [False, True])
def test_pictures_that_are_rows_of_pixels(tmp_path, one_cell):
    values = np.random.default_rng(0).integers(0, 256, (7, 64))
    cells = [(" " if one_cell else ",").join(map(str, row)) for row in values]
    header = "pixels" if one_cell else ",".join(f"pixel{i}" for i in range(64))
    text(tmp_path / "train.csv", f"label,{header}", *(f"{i % 2},{cells[i]}" for i in range(4)))
    text(tmp_path / "test.csv", header, *cells[4:])
    text(tmp_path / "sample_submission.csv", "ImageId,Label", *(f"{i},0" for i in (1, 2, 3)))
    catalog = load_catalog(section(tmp_path, "auto", split={"dev": 0}))
    assert np.array_equal(catalog.array_N, values.reshape(7, 8, 8)) and catalog.root is None
    assert catalog.label_N.tolist() == [0, 1, 0, 1, -1, -1, -1]
    assert [catalog.submission_name(i) for i in catalog.index("test")] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("cell", "said"), [("256", ":3: a pixel is no whole"), ("x", "cannot be read")]
)
def test_a_bad_pixel(tmp_path, cell, said):
    header = ",".join(f"pixel{i}" for i in range(64))
    good = ",".join(["1"] * 63)
    text(tmp_path / "train.csv", f"label,{header}", f"0,{good},2", f"1,{good},{cell}")
    with pytest.raises(UserError, match=said):
        load_catalog(section(tmp_path, "kaggle"))


def test_a_train_row_never_gets_a_test_image(tmp_path):
    images(tmp_path, "train/000.jpg", "train/002.jpg", *TEST)
    text(tmp_path / "train.csv", "id,label", "000,a", "001,a", "002,b")
    catalog = load_catalog(section(tmp_path, "kaggle", split={"dev": 0}))
    assert [catalog.names[i] for i in catalog.index("train")] == ["train/000.jpg", "train/002.jpg"]


def test_two_images_of_the_same_id(tmp_path):
    images(tmp_path, "train/000.jpg", "train/000.png", "train/001.jpg")
    text(tmp_path / "train.csv", "id,label", "000,a", "001,b")
    with pytest.raises(UserError, match=r"'000' may be any of train/000\.jpg, train/000\.png"):
        load_catalog(section(tmp_path, "kaggle"))


def test_tables_of_the_same_rows_are_joined(tmp_path):
    images(tmp_path, *TRAIN)
    text(tmp_path / "train.csv", "id,track", *(f"{i},t{i[2]}" for i in IDS))
    text(tmp_path / "train_labels.csv", "id,label", *(f"{i},{int(i) % 2}" for i in reversed(IDS)))
    catalog = load_catalog(section(tmp_path, "auto", split={"dev": 0}))
    assert catalog.label_N.tolist() == [int(i) % 2 for i in IDS]
    assert catalog.columns["track"] == [f"t{i[2]}" for i in IDS]


def test_images_that_are_still_packed(tmp_path):
    (tmp_path / "train.zip").touch()
    text(tmp_path / "train.csv", "id,label", "000,a", "001,b")
    with pytest.raises(UserError, match=r"train\.zip may hold the images: unpack it"):
        load_catalog(section(tmp_path, "kaggle"))
