import subprocess
import sys

import numpy as np
import pytest

from starter.data import load_catalog
from starter.errors import UserError
from tests.data.trees import class_folders, section, write


def read(catalog, split):
    """(path, class) of a split; identities beyond the classes have none."""
    return [
        (catalog.names[i], catalog.classes[catalog.label_N[i]] if catalog.label_N[i] >= 0 else None)
        for i in catalog.index(split)
    ]


@pytest.mark.parametrize("shift", ["", "set"])
def test_class_folders_equal_torchvisions_image_folder(tmp_path, shift):
    from torchvision.datasets import ImageFolder

    class_folders(tmp_path / shift, {"s10": 4, "s2": 5, "s1": 6})
    (tmp_path / "README").write_text("not an image")
    (tmp_path / shift / "s1" / ".DS_Store").write_text("not an image")
    (tmp_path / shift / "s1" / "._00.png").write_text("a resource fork")
    (tmp_path / shift / ".ipynb_checkpoints").mkdir()
    catalog = load_catalog(section(tmp_path, "folders"))
    (tmp_path / shift / "s1" / "._00.png").unlink()
    (tmp_path / shift / ".ipynb_checkpoints").rmdir()
    wanted = ImageFolder(tmp_path / shift)
    assert list(catalog.classes) == wanted.classes
    both = sorted(read(catalog, "train") + read(catalog, "dev"))
    root = tmp_path / shift
    assert both == sorted((p[len(f"{root}/") :], wanted.classes[k]) for p, k in wanted.samples)
    for i in range(len(catalog)):  # PIL decodes ImageFolder's
        assert np.array_equal(catalog.image(i), np.asarray(wanted.loader(catalog.path(i))))


def test_every_suffix_in_any_case(tmp_path):
    suffixes = (".jpg", ".JPEG", ".png", ".BMP", ".pgm", ".ppm", ".webp", ".tif", ".tiff")
    for name in ("a", "b"):
        for k, suffix in enumerate(suffixes):
            write(tmp_path / name / f"{k}{suffix}", k)
    catalog = load_catalog(section(tmp_path, "folders"))
    assert len(catalog) == 2 * len(suffixes)
    assert all(catalog.image(i).shape == (8, 8, 3) for i in range(len(catalog)))


def test_omniglot_like_two_deep_with_a_verify_folder(tmp_path):
    seen = {"greek/c1": 5, "greek/c2": 5, "latin/c1": 5}
    class_folders(tmp_path / "images_background", seen)
    class_folders(tmp_path / "images_evaluation/runes", {"c1": 5, "c2": 5})
    splits = {"train": "images_background", "verify": "images_evaluation"}
    catalog = load_catalog(section(tmp_path, "folders", splits=splits, pairs={"count": 20}))
    assert catalog.classes == ("greek/c1", "greek/c2", "latin/c1")
    assert [len(catalog.index(s)) for s in ("train", "dev", "test", "verify")] == [12, 3, 0, 10]
    verify = catalog.index("verify")
    assert (catalog.label_N[verify] == -1).all()
    folder_N = np.array([name.rsplit("/", 1)[0] for name in catalog.names])
    check_identities(catalog, folder_N, verify)
    unasked = load_catalog(section(tmp_path, "folders", splits=splits))
    assert len(unasked.pairs["val"].a_P) == 40  # all that two classes of five make, not 10,000
    without = load_catalog(section(tmp_path, "folders", splits=splits | {"verify": None}))
    assert without.pairs == {} and len(without.index("verify")) == 0


def check_identities(catalog, folder_N, verify):
    """Labelled pairs are of verify items, and same where and only where the folder is."""
    pairs = catalog.pairs["val"]
    assert np.isin(pairs.a_P, verify).all() and np.isin(pairs.b_P, verify).all()
    assert np.array_equal(folder_N[pairs.a_P] == folder_N[pairs.b_P], pairs.same_P)
    identity_N = catalog.identity_N
    identity_P2 = catalog.identities(pairs)
    assert np.array_equal(identity_P2[:, 0] == identity_P2[:, 1], pairs.same_P)
    assert np.array_equal(
        identity_N[:, None] == identity_N[None, :], folder_N[:, None] == folder_N[None, :]
    )


@pytest.mark.parametrize("name", ["unknown", "a"])
def test_usual_split_names_and_an_unlabelled_test_folder(tmp_path, name):
    class_folders(tmp_path / "Train", {"a": 3, "b": 3})
    class_folders(tmp_path / "valid", {"b": 2})
    for i in (2, 0, 1):
        write(tmp_path / "test" / name / f"{i}.png", i)
    catalog = load_catalog(section(tmp_path, "folders"))
    assert read(catalog, "dev") == [("valid/b/00.png", "b"), ("valid/b/01.png", "b")]
    assert read(catalog, "test") == [(f"test/{name}/{i}.png", None) for i in range(3)]
    assert len(catalog.index("train")) == 6


def test_a_labelled_test_folder(tmp_path):
    class_folders(tmp_path, {"train/a": 3, "train/b": 3, "test/b": 1, "test/a": 1})
    catalog = load_catalog(section(tmp_path, "folders"))
    assert read(catalog, "test") == [("test/a/00.png", "a"), ("test/b/00.png", "b")]


@pytest.mark.parametrize("hold_out", [0.4, 2])
def test_held_out_classes_leave_training_altogether(tmp_path, hold_out):
    class_folders(tmp_path / "train", {name: 4 for name in "abcde"})
    class_folders(tmp_path / "dev", {name: 1 for name in "abcde"})
    wanted = section(tmp_path, "folders", pairs={"hold_out": hold_out, "count": 20, "seed": 1})
    catalog = load_catalog(wanted)
    verify = catalog.index("verify")
    assert len(catalog.classes) == 3 and len(verify) == 2 * 5  # their dev images too
    folder_N = np.array([name.split("/")[1] for name in catalog.names])
    assert not set(folder_N[verify]) & set(catalog.classes)
    for split in ("train", "dev"):
        assert all(name.split("/")[1] == label for name, label in read(catalog, split))
    check_identities(catalog, folder_N, verify)
    again = load_catalog(wanted)
    assert again.fingerprint() == catalog.fingerprint()


def people(catalog, name) -> set[str]:
    """Who is in these pairs."""
    sides = (catalog.pairs[name].a_P, catalog.pairs[name].b_P)
    return {catalog.names[i].split("/")[-2] for side in sides for i in side}


@pytest.mark.parametrize("own_split", [False, True])
def test_three_disjoint_groups_of_people_and_other_ones_by_another_seed(tmp_path, own_split):
    """As ORL is split: people to train on, people that choose the weights, people that report."""
    names = [f"s{k}" for k in range(1, 11)]
    class_folders(tmp_path / ("faces/more" if own_split else "faces"), {n: 4 for n in names})
    if own_split:
        class_folders(tmp_path / "faces/train", {"x": 3, "y": 3})
    verify = {"splits": {"verify": "more"}} if own_split else {}

    def split(seed, **keys):
        pairs = {"hold_out": 2, "hold_out_test": 3, "count": 12, "seed": seed} | keys
        return load_catalog(section(tmp_path / "faces", "folders", pairs=pairs, **verify))

    catalog = split(0)
    trained, chosen = set(catalog.classes), people(catalog, "val")
    reported = people(catalog, "held")
    assert len(reported) == 3 and not reported & chosen and not trained & (reported | chosen)
    if own_split:
        assert trained == {"x", "y"} and chosen == set(names) - reported
    else:
        assert len(chosen) == 2 and trained == set(names) - reported - chosen
        assert people(split(0, hold_out_test=None), "val") == chosen  # the key moves nobody else
    for pairs in catalog.pairs.values():
        assert pairs.same_P.sum() == 6 == len(pairs.a_P) // 2
        assert np.array_equal(np.equal(*catalog.identities(pairs).T), pairs.same_P)
    assert split(0).fingerprint() == catalog.fingerprint()
    assert len({frozenset(people(split(seed), "held")) for seed in range(5)}) > 1
    with pytest.raises(UserError, match=r"data\.pairs\.hold_out_test: 9 keeps 9 of"):
        split(0, hold_out_test=9)


@pytest.mark.parametrize(
    ("tree", "keys", "said"),
    [
        ({"a": 3}, {}, "has 1 class; it needs two"),
        ({"a": 1, "b": 1}, {}, "data.split.dev"),
        (
            {"train/a": 2, "train/b": 2, "dev/c": 1},
            {},
            "dev/c: the class 'c' is not among the 2 classes",
        ),
        ({"train/a": 2, "train/b": 2}, {"splits": {"dev": "dev"}}, "data.splits.dev"),
        ({"x/a": 2, "x/b": 2}, {"splits": {"train": "y"}}, "data.splits.train"),
        ({"x/a": 2, "y/b": 2}, {"splits": {"verify": "y"}}, "data.splits.train: not set"),
        ({"a": 3, "b": 3, "c": 3}, {"pairs": {"count": 4}}, "data.pairs.hold_out"),
        ({k: 3 for k in "abcd"}, {"pairs": {"count": 14}}, "make only 6; lower it to 12"),
        ({"a/b/c": 1, "a/b/d": 1, "e/f/g": 1}, {}, "a class without images"),
        ({"a": 2, "a/b": 2, "c": 2}, {}, "has images and folders of images"),
        ({"train/a": 2, "train/b": 2, "train/c": 0}, {}, "c: a class without images"),
        ({"train/a": 2, "train/b": 2, "test": 0}, {}, "an empty test split"),
    ],
)
def test_mistakes(tmp_path, tree, keys, said):
    class_folders(tmp_path, tree)
    with pytest.raises(UserError) as caught:
        load_catalog(section(tmp_path, "folders", **keys))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_room_is_cheap_to_import():
    code = (
        "import sys, starter.data; "
        "print([m for m in ('torch', 'cv2', 'pandas', 'PIL', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
