import time
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from starter.data.pairs import hold_out_classes, make_pairs, pairs_there_are, spread
from starter.errors import UserError


def every_pair(identity_N, index_M):
    """All genuine and all impostor pairs, by a plain loop."""
    genuine, impostor = set(), set()
    for a, b in combinations(sorted(index_M.tolist()), 2):
        (genuine if identity_N[a] == identity_N[b] else impostor).add((a, b))
    return genuine, impostor


def check(pairs, identity_N, index_M, count):
    genuine, impostor = every_pair(identity_N, index_M)
    assert pairs.a_P.dtype == pairs.b_P.dtype == np.int64 and pairs.same_P.dtype == bool
    drawn = [tuple(sorted(p)) for p in zip(pairs.a_P.tolist(), pairs.b_P.tolist(), strict=True)]
    assert len(drawn) == len(set(drawn)) == count
    assert {p for p, same in zip(drawn, pairs.same_P, strict=True) if same} <= genuine
    assert {p for p, same in zip(drawn, pairs.same_P, strict=True) if not same} <= impostor
    assert pairs.same_P.sum() == count // 2


@pytest.mark.parametrize("count", [2, 7, 40, 60])
def test_pairs_are_distinct_balanced_and_true(count):
    rng = np.random.default_rng(5)
    identity_N = rng.integers(0, 6, 60) * 7 - 1  # ids with gaps, and items of identity -1
    index_M = np.flatnonzero(identity_N >= 0)
    index_M = rng.permutation(index_M)[:30]
    check(make_pairs(identity_N, index_M, count, 3), identity_N, index_M, count)


def test_all_pairs_that_exist():
    identity_N = np.repeat([0, 1], [4, 2])  # 6 + 1 genuine, 8 impostor
    index_M = np.arange(6)
    pairs = make_pairs(identity_N, index_M, 14, 0)
    check(pairs, identity_N, index_M, 14)
    with pytest.raises(UserError, match=r"asks for 8 genuine .* 2 identities make only 7"):
        make_pairs(identity_N, index_M, 16, 0)
    with pytest.raises(UserError, match=r"asks for 13 impostor .* make only 0"):
        make_pairs(np.zeros(8, int), np.arange(8), 26, 0)


def test_the_seed_decides():
    identity_N, index_M = np.arange(100) // 5, np.arange(100)
    first, again, other = (make_pairs(identity_N, index_M, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.a_P, again.a_P) and np.array_equal(first.same_P, again.same_P)
    assert not np.array_equal(first.a_P, other.a_P)
    assert 0 < first.same_P[:25].sum() < 25  # not sorted by kind


def test_genuine_pairs_are_even_over_identities():
    size_K = [2, 3, 10, 200]
    identity_N = np.repeat(np.arange(4), size_K)
    pairs = make_pairs(identity_N, np.arange(len(identity_N)), 200, 0)
    counts = Counter(identity_N[pairs.a_P[pairs.same_P]].tolist())
    assert counts == {0: 1, 1: 3, 2: 45, 3: 51}  # the small ones give all they have


@pytest.mark.parametrize("count", [0, 1, 5, 17, 30])
def test_spread_equals_handing_out_one_by_one(count):
    capacity_K = np.array([1, 0, 3, 20, 6])
    quota_K = spread(capacity_K, count, np.random.default_rng(0))
    wanted = np.zeros(5, int)
    for _ in range(count):
        open_K = np.flatnonzero(wanted < capacity_K)
        wanted[open_K[np.argmin(wanted[open_K])]] += 1
    assert quota_K.sum() == count and (quota_K <= capacity_K).all()
    assert sorted(quota_K) == sorted(wanted)


def test_impostors_are_spread_over_images():
    identity_N = np.arange(1000) // 10
    pairs = make_pairs(identity_N, np.arange(1000), 2000 * 2, 0)
    a_P, b_P = pairs.a_P[~pairs.same_P], pairs.b_P[~pairs.same_P]
    uses = np.bincount(np.concatenate([a_P, b_P]), minlength=1000)
    assert uses.mean() == 4 and 0.7 < uses.var() / 4 < 1.3  # Poisson: variance = mean


@pytest.mark.parametrize(
    "identity_N",
    [np.concatenate([np.zeros(50_000, int), [1, 1, 2]]), np.arange(431_550) // 50],
    ids=["one huge identity", "many identities"],
)
def test_ten_thousand_pairs_are_quick(identity_N):
    started = time.process_time()
    pairs = make_pairs(identity_N, np.arange(len(identity_N)), 10_000, 0)
    assert pairs.same_P.sum() == 5000 and time.process_time() - started < 1


def test_hold_out_classes():
    label_N = np.array([5, 5, 3, 9, 9, 1, 0, -1, 7, 8, 8])
    held = hold_out_classes(label_N, 3, 0)
    assert len(set(held.tolist())) == 3 and set(held) <= set(label_N) - {-1}
    assert np.array_equal(held, hold_out_classes(label_N, 3, 0))
    assert len(hold_out_classes(np.arange(100), 0.25, 0)) == 25
    assert len(hold_out_classes(np.arange(10), 0.01, 0)) == 2
    for bad in (1, 6, 0.99):
        with pytest.raises(UserError, match="hold_out"):
            hold_out_classes(label_N, bad, 0)


@pytest.mark.parametrize("size_K", [(2, 2), (5, 1, 3), (30, 2)])
def test_pairs_there_are_is_the_largest_count_that_can_be_drawn(size_K):
    identity_N = np.repeat(np.arange(len(size_K)), size_K)
    index_M = np.arange(len(identity_N))
    most = 2 * min(pairs_there_are(identity_N))
    assert len(make_pairs(identity_N, index_M, most, 0).a_P) == most
    with pytest.raises(UserError):
        make_pairs(identity_N, index_M, most + 2, 0)
