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
    class_folders(tmp_path / "images_evaluation", {"runes/c1": 5, "runes/c2": 5})
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


def test_usual_split_names_and_an_unlabelled_test_folder(tmp_path):
    class_folders(tmp_path / "Train", {"a": 3, "b": 3})
    class_folders(tmp_path / "valid", {"b": 2})
    for i in (2, 0, 1):
        write(tmp_path / "test" / "unknown" / f"{i}.png", i)
    catalog = load_catalog(section(tmp_path, "folders"))
    assert read(catalog, "dev") == [("valid/b/00.png", "b"), ("valid/b/01.png", "b")]
    assert read(catalog, "test") == [(f"test/unknown/{i}.png", None) for i in range(3)]
    assert len(catalog.index("train")) == 6


def test_a_labelled_test_folder(tmp_path):
    class_folders(tmp_path / "train", {"a": 3, "b": 3})
    class_folders(tmp_path / "test", {"b": 1, "a": 1})
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
    ],
)
def test_mistakes(tmp_path, tree, keys, said):
    class_folders(tmp_path, tree)
    with pytest.raises(UserError) as caught:
        load_catalog(section(tmp_path, "folders", **keys))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_empty_folders(tmp_path):
    class_folders(tmp_path / "train", {"a": 2, "b": 2})
    (tmp_path / "train" / "c").mkdir()
    with pytest.raises(UserError, match="c: a class without images"):
        load_catalog(section(tmp_path, "folders"))
    (tmp_path / "train" / "c").rmdir()
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match="an empty test split"):
        load_catalog(section(tmp_path, "folders"))


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


def test_cifar10(tmp_path, monkeypatch):
    import pickle

    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)  # it knows the real sums
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        data = rng.integers(0, 256, (20, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": list(range(10)) * 2}))
    names = [f"kind{k}" for k in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": None})
    catalog = load_catalog(section(tmp_path, "cifar10"))
    assert catalog.array_N.shape == (120, 32, 32, 3) and list(catalog.classes) == names
    wanted = data[5].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(catalog.image(105), wanted)


@pytest.mark.parametrize("layout", ["mnist", "cifar10"])
def test_an_absent_array_set(tmp_path, layout):
    with pytest.raises(UserError, match="holds no readable"):
        load_catalog(section(tmp_path, layout))


def test_the_room_is_cheap_to_import():
    import subprocess

    code = (
        "import sys, starter.data; "
        "print([m for m in ('torch', 'cv2', 'pandas', 'PIL', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
