"""A long tail of training images, and turned ones as classes of their own."""

import dataclasses

import cv2
import numpy as np
import pytest

from starter.data import load_pack
from starter.data.catalog import DEV, TRAIN, VERIFY, Catalog, Pairs
from starter.data.training_set import add_turned, long_tail
from starter.errors import UserError
from starter.inference.evaluate import predict


def uneven():
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
    before, after = uneven(), long_tail(uneven(), 8.0, seed=1)
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
    known = uneven()
    last = np.flatnonzero(known.label_N == 3)[:2]
    pairs = Pairs(last[:1], last[1:], np.array([True]))
    after = long_tail(dataclasses.replace(known, pairs={"val": pairs}), 1e6)
    names = {after.names[i] for i in after.index("train") if after.label_N[i] == 3}
    assert {known.names[i] for i in last} <= names
    assert 2 <= len(names) <= 3
    assert long_tail(known, 1) is known


def catalog(root=None):
    """Two classes: 3 training images, one dev image, two images of a pair."""
    rng = np.random.default_rng(0)
    array_N = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    names = [f"{i}.png" for i in range(6)]
    if root is not None:
        for name, image_HWC in zip(names, array_N, strict=True):
            cv2.imwrite(str(root / name), image_HWC[..., ::-1])
    return Catalog(
        root,
        names,
        np.array([0, 1, 1, 1, -1, -1]),
        np.array([TRAIN, TRAIN, TRAIN, DEV, VERIFY, VERIFY], np.uint8),
        ("a", "b"),
        {"val": Pairs(np.array([4]), np.array([5]), np.array([True]))},
        array_N=array_N if root is None else None,
        identity_N=np.array([0, 1, 1, 1, 2, 2]),
    )


@pytest.mark.parametrize("files", [False, True])
def test_each_turn_is_numpys_and_a_class_of_its_own(tmp_path, files):
    known = catalog(tmp_path if files else None)
    after = add_turned(known, ("rot90", "rot180", "rot270", "hflip", "vflip"))
    assert after.classes[:4] == ("a", "b", "a@rot90", "b@rot90") and len(after.classes) == 12
    assert after.answers == 2
    assert after.label_N[6:].tolist() == [2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11]
    assert (after.split_N[6:] == TRAIN).all() and (after.identity_N[6:] == -1).all()
    functions = [
        lambda x: np.rot90(x, 1),
        lambda x: np.rot90(x, 2),
        lambda x: np.rot90(x, 3),
        np.fliplr,
        np.flipud,
    ]
    pack_NHWC = load_pack(after, 8, 3, tmp_path / "cache")
    for turn, function in enumerate(functions):
        for i in range(3):
            assert (pack_NHWC[6 + 3 * turn + i] == function(known.image(i))).all()
    assert (pack_NHWC[:6] == np.stack([known.image(i) for i in range(6)])).all()
    other = add_turned(known, ("rot90", "rot180", "rot270", "vflip", "hflip"))
    assert len({c.place() for c in (known, after, other)}) == 3
    assert len({c.fingerprint() for c in (known, after, other)}) == 3


def test_turned_classes_are_never_predicted():
    import torch

    class Head(torch.nn.Module):
        def logits(self, emb_BD):
            return torch.tensor([[1.0, 2.0, 9.0, 8.0]])

    class Objective(torch.nn.Module):
        classifier = Head()

    class Learner(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.objective, self.weight = Objective(), torch.nn.Parameter(torch.zeros(1))

    turned = add_turned(catalog(), ("rot90",))
    predicted_M = predict(Learner(), np.zeros((1, 3), np.float32), turned, None, None)
    assert predicted_M.tolist() == [1]


def test_no_turn_changes_nothing_and_a_turn_twice_is_refused():
    known = catalog()
    assert add_turned(known, ()) is known
    with pytest.raises(UserError, match="one of them twice"):
        add_turned(known, ("hflip", "hflip"))
    assert dataclasses.replace(known).turn_N is None
