"""LFW, CUB, Omniglot, tables and torchvision's arrays, against torchvision or a plain reading."""

import pickle
import random

import numpy as np
import pytest

from starter.data import load_catalog
from starter.errors import UserError
from tests.data.trees import class_folders, replace_line, section
from tests.data.years import images, text

PEOPLE = [f"{first}_{last}" for first in ("Ann", "Bob", "Cy") for last in "ABCDEFGHIJ"]


def lfw(root, folder="lfw-py/lfw_funneled", texts="lfw-py"):
    """30 people of 3 pictures; view 1 trains on the first 20; view 2 has 10 folds of 3 people."""
    for name in PEOPLE:
        images(root, *(f"{folder}/{name}/{name}_{i:04d}.jpg" for i in (1, 2, 3)))
    rng, place = random.Random(0), root / texts

    def pairs(people, each):
        same = [f"{rng.choice(people)}\t1\t{rng.choice((2, 3))}" for _ in range(each)]
        different = [
            f"{a}\t{rng.choice((1, 2))}\t{b}\t3"
            for a, b in (rng.sample(people, 2) for _ in range(each))
        ]
        return same + different

    text(place / "peopleDevTrain.txt", "20", *(f"{name}\t3" for name in PEOPLE[:20]))
    text(place / "peopleDevTest.txt", "10", *(f"{name}\t3" for name in PEOPLE[20:]))
    text(place / "pairsDevTrain.txt", "4", *pairs(PEOPLE[:20], 4))
    text(place / "pairsDevTest.txt", "5", *pairs(PEOPLE[20:], 5))
    folds = [PEOPLE[3 * k : 3 * k + 2] for k in range(10)]  # every third person is in no pair
    text(place / "pairs.txt", "10\t2", *(line for fold in folds for line in pairs(fold, 2)))
    groups = [["3", *(f"{name}\t3" for name in PEOPLE[3 * k : 3 * k + 3])] for k in range(10)]
    text(place / "people.txt", "10", *(line for group in groups for line in group))
    text(place / "lfw-names.txt", *(f"{name}\t3" for name in PEOPLE))
    return root


def in_words(catalog):
    val = catalog.pairs["val"]
    return [
        (catalog.names[a].split("/", 1)[1], catalog.names[b].split("/", 1)[1], bool(same))
        for a, b, same in zip(val.a_P, val.b_P, val.same_P, strict=True)
    ]


@pytest.mark.parametrize("layout", ["lfw", "auto"])
@pytest.mark.parametrize(("view", "split"), [(1, "test"), (2, "10fold")])
def test_lfw_equals_torchvision(tmp_path, monkeypatch, view, split, layout):
    from torchvision.datasets import LFWPairs, LFWPeople

    monkeypatch.setattr(LFWPairs, "_check_integrity", lambda self: True)  # it knows the real sums
    monkeypatch.setattr(LFWPeople, "_check_integrity", lambda self: True)
    lfw(tmp_path)
    catalog = load_catalog(section(tmp_path, layout, options={"view": view}))
    wanted = LFWPairs(tmp_path, split=split, image_set="funneled")
    prefix = f"{tmp_path}/lfw-py/lfw_funneled/"
    assert in_words(catalog) == [
        (a.removeprefix(prefix), b.removeprefix(prefix), bool(same))
        for (a, b), same in zip([row[:2] for row in wanted.data], wanted.targets, strict=True)
    ]
    trained = {catalog.names[i] for s in ("train", "dev") for i in catalog.index(s)}
    if view == 1:
        people = LFWPeople(tmp_path, split="train", image_set="funneled")
        assert trained == {p.removeprefix(f"{tmp_path}/lfw-py/") for p in people.data}
        assert catalog.pairs["val"].fold_P is None
    else:
        paired = {name.split("/")[0] for a, b, _ in in_words(catalog) for name in (a, b)}
        assert {name.split("/")[1] for name in trained} == set(PEOPLE) - paired
        assert catalog.pairs["val"].fold_P.tolist() == np.repeat(np.arange(10), 4).tolist()
    assert all((catalog.identities(catalog.pairs["val"]) >= 0).all(1))
    same_P = np.equal(*catalog.identities(catalog.pairs["val"]).T)
    assert np.array_equal(same_P, catalog.pairs["val"].same_P)


def test_a_fold_of_lfw_trains_on_the_people_of_the_other_nine(tmp_path):
    lfw(tmp_path, "lfw/lfw", "")  # a doubled folder, the files at the root
    whole = load_catalog(section(tmp_path, "lfw", options={"view": 2}))
    one = load_catalog(section(tmp_path, "lfw", options={"view": 2, "fold": 3}))
    assert in_words(one) == in_words(whole)[8:12] and one.pairs["val"].fold_P is None
    assert set(one.classes) == set(PEOPLE) - set(PEOPLE[6:9])


@pytest.mark.parametrize(
    ("file", "line", "wrong", "said"),
    [
        ("pairsDevTest.txt", 3, "Ann_A 1", "expected 'name 1 2'"),
        ("pairsDevTest.txt", 3, "Cy_A 1 9", "has no image number 9"),
        ("pairsDevTest.txt", 1, "7", "10 pairs; line 1 announces 14"),
        ("peopleDevTrain.txt", 4, "Nobody\t1", "no folder of Nobody"),
    ],
)
def test_mistakes_in_lfws_files(tmp_path, file, line, wrong, said):
    path = lfw(tmp_path, "lfw", "") / file
    replace_line(path, line, wrong)
    with pytest.raises(UserError) as caught:
        load_catalog(section(tmp_path, "lfw"))
    assert said in str(caught.value) and str(path.parent) in str(caught.value)


def cub(root):
    """102 classes of 3 images; ids not in the order of classes."""
    base = root / "CUB_200_2011"
    rows = [(k, i) for i in range(3) for k in range(1, 103)]
    names = {k: f"{k:03d}.Bird_{k}" for k in range(1, 103)}
    files = [f"{names[k]}/Bird_{i}.jpg" for k, i in rows]
    images(base, *(f"images/{file}" for file in files))
    ids = range(1, len(rows) + 1)
    text(base / "images.txt", *(f"{n} {file}" for n, file in zip(ids, files, strict=True)))
    text(base / "image_class_labels.txt", *(f"{n} {k}" for n, (k, _) in zip(ids, rows)))  # noqa: B905
    text(base / "train_test_split.txt", *(f"{n} {int(i < 2)}" for n, (_, i) in zip(ids, rows)))  # noqa: B905
    text(base / "classes.txt", *(f"{k} {name}" for k, name in names.items()))
    return [(f"images/{file}", names[k], i < 2) for file, (k, i) in zip(files, rows, strict=True)]


@pytest.mark.parametrize("layout", ["cub", "auto"])
def test_cub(tmp_path, layout):
    rows = cub(tmp_path)
    catalog = load_catalog(section(tmp_path, layout))
    label = {catalog.names[i]: catalog.classes[catalog.label_N[i]] for i in range(len(catalog))}
    assert label == {name: kind for name, kind, _ in rows}
    assert [catalog.names[i] for i in catalog.index("test")] == [
        n for n, _, train in rows if not train
    ]
    for split in ("train", "dev"):
        assert {catalog.names[i] for i in catalog.index(split)} < {n for n, _, t in rows if t}
    retrieval = load_catalog(section(tmp_path, layout, options={"task": "retrieval"}))
    assert [int(name[:3]) for name in retrieval.classes] == list(range(1, 101))
    held = [retrieval.names[i] for i in retrieval.index("verify")]
    assert held == [name for name, kind, _ in rows if int(kind[:3]) > 100]
    (tmp_path / "CUB_200_2011/train_test_split.txt").unlink()
    with pytest.raises(UserError, match=r"lacks train_test_split\.txt"):
        load_catalog(section(tmp_path, "cub"))


@pytest.mark.parametrize("place", ["", "omniglot-py/", "doubled"])
@pytest.mark.parametrize("layout", ["omniglot", "auto"])
def test_omniglot(tmp_path, place, layout):
    inner = ("images_background/", "images_evaluation/") if place == "doubled" else ("", "")
    root = tmp_path / ("" if place == "doubled" else place)
    class_folders(root / "images_background" / inner[0], {"greek/c1": 5, "latin/c1": 5})
    class_folders(root / "images_evaluation" / inner[1], {"runes/c1": 4, "runes/c2": 4})
    catalog = load_catalog(section(tmp_path, layout))
    assert catalog.classes == ("greek/c1", "latin/c1")
    assert len(catalog.index("verify")) == 8 and catalog.pairs["val"].same_P.sum() == 12
    if place != "doubled":  # as the layout folders reads it
        splits = {"train": "images_background", "verify": "images_evaluation"}
        plain = load_catalog(section(root, "folders", splits=splits))
        assert catalog.fingerprint() == plain.fingerprint()


def write_mnist(root, counts):
    """The four idx files, drawn here: big-endian header, then bytes."""
    rng = np.random.default_rng(0)
    kept = {}
    for part, count in zip(("train", "t10k"), counts, strict=True):
        image_M = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        label_M = (np.arange(count) % 10).astype(np.uint8)
        kept[part] = image_M
        raw = root / "MNIST" / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        for kind, array, code in (("images", image_M, 0x803), ("labels", label_M, 0x801)):
            header = np.array([code, *array.shape], ">i4").tobytes()
            (raw / f"{part}-{kind}-idx{array.ndim}-ubyte").write_bytes(header + array.tobytes())
    return kept


def test_mnist(tmp_path):
    kept = write_mnist(tmp_path, (60, 20))
    catalog = load_catalog(section(tmp_path, "mnist"))
    assert catalog.classes == tuple("0123456789") and catalog.root is None
    assert [len(catalog.index(s)) for s in ("train", "dev", "test")] == [50, 10, 20]
    assert np.array_equal(catalog.label_N, np.concatenate([np.arange(60), np.arange(20)]) % 10)
    assert catalog.names[60] == "test/0" and catalog.submission_name(61) == "1"
    assert np.array_equal(catalog.image(63), np.repeat(kept["t10k"][3][..., None], 3, 2))
    as_dev = load_catalog(section(tmp_path, "mnist", splits={"dev": "test"}))
    assert [len(as_dev.index(s)) for s in ("train", "dev", "test")] == [60, 20, 0]
    with_pairs = load_catalog(section(tmp_path, "mnist", pairs={"hold_out": 3, "count": 40}))
    assert len(with_pairs.classes) == 7 and len(with_pairs.index("verify")) == 3 * 8
    with pytest.raises(UserError, match=r"data\.splits\.train: mnist has no part foo"):
        load_catalog(section(tmp_path, "mnist", splits={"train": "foo"}))
    (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0")
    with pytest.raises(UserError, match="MNIST/raw"):
        load_catalog(section(tmp_path, "mnist"))


def test_fashion_mnist_and_its_neighbour(tmp_path):
    kept = write_mnist(tmp_path / "inside", (60, 20))
    (tmp_path / "inside" / "MNIST").rename(tmp_path / "inside" / "FashionMNIST")
    for layout, root in (("fashion_mnist", tmp_path / "inside"), ("auto", tmp_path)):
        catalog = load_catalog(section(root, layout))
        assert catalog.classes[0] == "T-shirt/top" and len(catalog) == 80
        assert np.array_equal(catalog.image(63)[..., 0], kept["t10k"][3])
    write_mnist(tmp_path, (60, 20))
    with pytest.raises(UserError, match=r"fits 2 layouts equally: mnist .*; fashion_mnist "):
        load_catalog(section(tmp_path, "auto"))


@pytest.mark.parametrize("auto", [False, True])
@pytest.mark.parametrize(("layout", "kind"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
def test_cifar(tmp_path, monkeypatch, layout, kind, auto):
    from torchvision import datasets

    known = getattr(datasets, kind)
    monkeypatch.setattr(known, "_check_integrity", lambda self: True)  # it knows the real sums
    monkeypatch.setattr(known, "meta", known.meta | {"md5": None})
    rng, classes = np.random.default_rng(0), int(layout.removeprefix("cifar"))
    names = [f"kind{k}" for k in range(classes)]
    folder, files = tmp_path / known.base_folder, [*known.train_list, *known.test_list]
    folder.mkdir()
    (folder / known.meta["filename"]).write_bytes(pickle.dumps({known.meta["key"]: names}))
    for file, _ in files:
        data = rng.integers(0, 256, (2 * classes, 3072), dtype=np.uint8)
        content = {"data": data, "labels": list(range(classes)) * 2}
        (folder / file).write_bytes(pickle.dumps(content))
    catalog = load_catalog(section(tmp_path, "auto" if auto else layout))
    test_M = catalog.index("test")
    assert list(catalog.classes) == names and len(test_M) == 2 * classes
    assert len(catalog) == len(files) * 2 * classes
    wanted = data[7].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(catalog.image(test_M[7]), wanted) and catalog.label_N[test_M[7]] == 7


@pytest.mark.parametrize("layout", ["mnist", "cifar10"])
def test_an_absent_array_set(tmp_path, layout):
    with pytest.raises(UserError, match="holds no readable"):
        load_catalog(section(tmp_path, layout))


@pytest.mark.parametrize(("layout", "kind"), [("mnist", "MNIST"), ("cifar100", "CIFAR100")])
def test_download_asks_torchvision(tmp_path, monkeypatch, layout, kind):
    from torchvision import datasets

    calls = []

    def fetch(root, train, download):
        calls.append((root.is_dir(), train, download))
        raise RuntimeError("no network here")

    monkeypatch.setattr(datasets, kind, fetch)
    fetch.__name__ = kind
    with pytest.raises(UserError, match="no network here"):
        load_catalog(section(tmp_path / "new", layout, download=True))
    assert calls == [(True, True, True)]
    with pytest.raises(UserError, match=r"data\.download: .*unpack the files yourself"):
        load_catalog(section(tmp_path, "folders", download=True))
