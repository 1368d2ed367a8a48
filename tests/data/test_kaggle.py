"""Tables of images, as Kaggle competitions ship them, against pandas or a plain list."""

import logging

import pytest

from starter.data import load_catalog
from starter.errors import UserError
from tests.data.trees import class_folders, section, write
from tests.data.years import text

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
        found = [
            (
                catalog.names[i],
                catalog.classes[catalog.label_N[i]] if catalog.label_N[i] >= 0 else "",
            )
            for i in catalog.index(split)
        ]
        assert [label for _, label in found] == [label for _, label in wanted]
        assert all(a.endswith(b) or b.endswith(a) for (a, _), (b, _) in zip(found, wanted))  # noqa: B905
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
