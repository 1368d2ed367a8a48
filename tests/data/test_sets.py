"""LFW, CUB, Omniglot, tables and torchvision's arrays, against torchvision or a plain reading."""

import pickle
import random

import numpy as np
import pytest

from starter.data import load_catalog
from starter.errors import UserError
from tests.data.test_folders import write_mnist
from tests.data.trees import class_folders, section
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
    lines = path.read_text().splitlines()
    lines[line - 1] = wrong
    path.write_text("\n".join(lines) + "\n")
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


@pytest.mark.parametrize("layout", ["cifar100", "auto"])
def test_cifar100(tmp_path, monkeypatch, layout):
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "_check_integrity", lambda self: True)
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": None})
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    rng, kept = np.random.default_rng(0), {}
    for part in ("train", "test"):
        kept[part] = rng.integers(0, 256, (200, 3072), dtype=np.uint8)
        content = {"data": kept[part], "fine_labels": list(range(100)) * 2}
        (folder / part).write_bytes(pickle.dumps(content))
    names = [f"kind{k}" for k in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    catalog = load_catalog(section(tmp_path, layout))
    assert list(catalog.classes) == names and len(catalog.index("test")) == 200
    wanted = kept["test"][7].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(catalog.image(207), wanted) and catalog.label_N[207] == 7


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
