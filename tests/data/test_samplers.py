"""Orders of images: deterministic, complete, fair, and P x K where asked for."""

import numpy as np
import pytest

from starter.data.samplers import batches_per_epoch, epoch_order
from starter.errors import UserError
from starter.recipe.schema.data import BalancedSampler, PKSampler, ShuffleSampler

SHUFFLE = ShuffleSampler()


def pk(images: int) -> PKSampler:
    return PKSampler(kind="pk", images=images)


def balanced(power: float, least: int = 0) -> BalancedSampler:
    return BalancedSampler(kind="balanced", power=power, least=least)


def labelled(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """label_N of images in mixed order, among others that are not to be trained on; index_M."""
    label_N = np.repeat(np.arange(len(sizes)) * 3, sizes)
    label_N = np.concatenate([label_N, np.full(50, -1)])
    order = np.random.default_rng(seed).permutation(len(label_N))
    label_N = label_N[order]
    return label_N, np.flatnonzero(label_N >= 0)


def order(sampler, label_N, index_M, batch_size, seed=0, epoch=0):
    return epoch_order(sampler, label_N, index_M, batch_size, seed, epoch)


@pytest.mark.parametrize(
    ("images", "batch", "count", "size"),
    [(100, 8, 12, 8), (96, 8, 12, 8), (8, 8, 1, 8), (5, 8, 1, 5), (1, 8, 1, 1)],
)
def test_shuffle_takes_each_image_at_most_once(images, batch, count, size):
    label_N, index_M = labelled([images])
    index_SB = order(SHUFFLE, label_N, index_M, batch)
    assert index_SB.shape == (count, size) == (batches_per_epoch(images, batch), size)
    assert index_SB.dtype == np.int64
    assert len(np.unique(index_SB)) == index_SB.size and np.isin(index_SB, index_M).all()


@pytest.mark.parametrize(
    "sampler", [SHUFFLE, pk(2), balanced(0.5, 3)], ids=["shuffle", "pk", "balanced"]
)
def test_order_is_a_function_of_seed_and_epoch(sampler):
    label_N, index_M = labelled([20] * 10)
    same = [order(sampler, label_N, index_M, 8, 1, 2) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    for seed, epoch in ((1, 3), (2, 2), (2, 1)):
        assert not np.array_equal(same[0], order(sampler, label_N, index_M, 8, seed, epoch))


SIZES = {
    "even": [12] * 10,
    "ragged": list(range(4, 24)),
    "few images": [1, 2, 3, 4, 5, 9, 30, 2],
    "just enough identities": [7, 9, 11, 5],
    "one more": [7, 9, 11, 5, 6],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("epoch", [0, 1, 17])
def test_pk_batches(sizes, epoch):
    label_N, index_M = labelled(sizes)
    images, batch = 4, 16
    index_SB = order(pk(images), label_N, index_M, batch, epoch=epoch)
    assert index_SB.shape == (max(len(index_M) // batch, 1), batch)
    size_of = dict(zip(*np.unique(label_N[index_M], return_counts=True), strict=True))
    for index_PK in index_SB.reshape(len(index_SB), batch // images, images):
        label_PK = label_N[index_PK]
        assert (label_PK == label_PK[:, :1]).all()
        assert len(np.unique(label_PK[:, 0])) == len(label_PK)
        for label, index_K in zip(label_PK[:, 0], index_PK, strict=True):
            assert len(np.unique(index_K)) == min(images, size_of[label])
            assert np.isin(index_K, index_M).all()


def test_pk_visits_every_identity_equally_often_in_an_epoch():
    label_N, index_M = labelled(SIZES["ragged"])
    for epoch in range(5):
        index_SB = order(pk(4), label_N, index_M, 16, epoch=epoch)
        visits = np.unique(label_N[index_SB.reshape(-1, 4)[:, 0]], return_counts=True)[1]
        assert len(visits) == 20 and visits.max() - visits.min() <= 1


def test_pk_uses_up_an_identity_before_it_repeats_an_image():
    label_N, index_M = labelled([12] * 8)  # 96 images: 3 rounds of 8 identities x 4 an epoch
    for epoch in range(4):
        seen = order(pk(4), label_N, index_M, 16, epoch=epoch)
        assert sorted(seen.ravel()) == sorted(index_M)


def test_pk_cycles_go_on_from_epoch_to_epoch():
    """An identity of 40 images among small ones is visited a few times an epoch, and no image
    of it comes again before all have come."""
    label_N, index_M = labelled([40, *[4] * 15])  # 100 images: 24 visits, 2 rounds of 16
    draws = [order(pk(4), label_N, index_M, 16, epoch=e).ravel() for e in range(5)]
    mine = np.concatenate([d[label_N[d] == 0] for d in draws])  # one cycle is 10 visits, 5 epochs
    assert 20 <= len(mine) <= 40 and len(np.unique(mine)) == len(mine)


def test_pk_is_fair_to_images_in_the_long_run():
    label_N, index_M = labelled(SIZES["ragged"])
    counts = np.zeros(len(label_N))
    for epoch in range(300):
        np.add.at(counts, order(pk(4), label_N, index_M, 16, epoch=epoch).ravel(), 1)
    for label in np.unique(label_N[index_M]):
        mine = counts[label_N == label]
        assert mine.min() > 0.8 * mine.mean() and mine.max() < 1.2 * mine.mean()


def test_pk_orders_of_an_identity_differ_between_cycles():
    label_N, index_M = labelled([8] * 4)
    groups = {
        tuple(sorted(row))
        for epoch in range(20)
        for row in order(pk(4), label_N, index_M, 16, epoch=epoch).reshape(-1, 4)
        if label_N[row[0]] == 0
    }
    assert len(groups) > 20  # of 70 ways to choose 4 of 8


def test_too_few_identities_tells_the_fix():
    label_N, index_M = labelled([10] * 5)
    with pytest.raises(UserError) as raised:
        order(pk(4), label_N, index_M, 32)
    message = str(raised.value)
    assert "8 identities" in message and "only 5" in message
    assert "train.batch_size=20" in message and "sampler.images=7" in message
    assert order(pk(4), label_N, index_M, 20).shape == (2, 20)


def test_pk_is_quick_for_a_large_set():
    import time

    label_N = np.repeat(np.arange(7000), 20)
    start = time.perf_counter()
    order(pk(4), label_N, np.arange(len(label_N)), 512, epoch=40)
    assert time.perf_counter() - start < 3


LONG_TAIL = [400, 100, 40, 12, 3]


def drawn(sampler, sizes, batch_size, epochs) -> np.ndarray:
    """Draws of each class in each epoch, of as many images as there are."""
    label_N, index_M = labelled(sizes)
    counts = []
    for epoch in range(epochs):
        index_SB = order(sampler, label_N, index_M, batch_size, epoch=epoch)
        assert index_SB.shape == (len(index_M) // batch_size, batch_size)
        assert index_SB.dtype == np.int64 and np.isin(index_SB, index_M).all()
        counts.append(np.bincount(label_N[index_SB.ravel()] // 3, minlength=len(sizes)))
    return np.array(counts)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_balanced_draws_a_class_as_often_as_its_images_weigh(power):
    sizes = np.array(LONG_TAIL)
    counts = drawn(balanced(power), LONG_TAIL, 5, 400)
    assert (counts.sum(axis=1) == 555).all()
    share = sizes * sizes**-power / (sizes * sizes**-power).sum()
    deviation = np.sqrt(555 * share * (1 - share) / 400)  # of the mean of 400 multinomials
    assert (np.abs(counts.mean(axis=0) - 555 * share) < 4 * deviation).all()
    spread = counts.std(axis=0) / np.sqrt(555 * share * (1 - share))
    assert ((spread > 0.85) & (spread < 1.15)).all()  # draws do not depend on each other


def test_balanced_draws_every_class_at_least_so_often():
    """555 draws: by weights of 1 the last three would have 40, 12 and 3; at 50 each, 405 stay for
    400 and 100 images."""
    counts = drawn(balanced(0.0, least=50), LONG_TAIL, 5, 300)
    assert (counts[:, 2:] == 50).all() and (counts[:, :2] >= 50).all()
    assert counts[:, 0].mean() == pytest.approx(405 * 400 / 500, abs=2)
    assert (drawn(balanced(0.5, least=111), LONG_TAIL, 5, 3) == 111).all()
    even = drawn(balanced(0.7, least=7), [7] * 30, 10, 3)
    assert (even == 7).all()


def test_balanced_draws_the_images_of_a_class_alike_and_mixes_classes():
    label_N, index_M = labelled(LONG_TAIL)
    seen, first = np.zeros(len(label_N)), []
    for epoch in range(600):
        index_SB = order(balanced(1.0), label_N, index_M, 5, epoch=epoch)
        np.add.at(seen, index_SB.ravel(), 1)
        first.append(label_N[index_SB[0]] // 3)
    for label in range(len(LONG_TAIL)):
        mine = seen[label_N == 3 * label]
        assert (np.abs(mine - mine.mean()) < 5 * np.sqrt(mine.mean())).all()
    assert (np.bincount(np.ravel(first)) > 3000 * 0.15).all()


def test_more_draws_than_an_epoch_has_are_refused_with_the_most_that_fit():
    label_N, index_M = labelled(LONG_TAIL)
    with pytest.raises(UserError, match=r"112 draws of each of 5 .* 555 .* sampler.least=111"):
        order(balanced(0.5, 112), label_N, index_M, 5)
