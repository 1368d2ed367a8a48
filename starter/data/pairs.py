"""Validation pairs for a set that ships none: seeded, balanced, of identities never trained on.

Shapes: N items, M items to pair, P pairs, K identities.
"""

import numpy as np

from starter.data.catalog import Pairs
from starter.errors import UserError


def hold_out_classes(
    label_N: np.ndarray, hold_out: float, seed: int | tuple[int, ...], key: str = "hold_out"
) -> np.ndarray:
    """Classes to keep out of training, drawn at random.

    Args:
        label_N: int64 labels; negative ones are not classes.
        hold_out: a fraction (below 1) of the classes, at least two of them; else how many.
        seed: which ones. key: of data.pairs, for messages.
    Returns:
        int64 class ids, ascending.
    Raises:
        UserError: fewer than two held out (no impostor pairs) or fewer than two left to train.
    """
    present_K = np.unique(label_N[label_N >= 0])
    count = max(2, round(hold_out * len(present_K))) if hold_out < 1 else round(hold_out)
    if not 2 <= count <= len(present_K) - 2:
        raise UserError(
            f"data.pairs.{key}: {hold_out:g} keeps {count} of {len(present_K)} classes out; "
            "pairs need at least 2 held out and training at least 2 left"
        )
    drawn = np.random.default_rng(seed).choice(present_K, count, replace=False)
    return np.sort(drawn)


def make_pairs(identity_N: np.ndarray, index_M: np.ndarray, count: int, seed: int) -> Pairs:
    """Half genuine, half impostor pairs, in random order.

    Genuine pairs are spread as evenly over identities as their images allow; an impostor pair is
    any image and any of another identity. No pair occurs twice, in either order, and none is of
    an image with itself.

    Args:
        identity_N: int64 identity of every item of the catalog.
        index_M: the items to pair; all of known identity.
        count: P; one more impostor than genuine when odd.
    Raises:
        UserError: fewer such pairs exist, saying how many.
    """
    return draw_pairs(identity_N, index_M, count // 2, count - count // 2, seed)


def draw_pairs(
    identity_N: np.ndarray, index_M: np.ndarray, genuine: int, impostor: int, seed: int
) -> Pairs:
    """`make_pairs` with a number of each kind."""
    count = genuine + impostor
    rng = np.random.default_rng(seed)
    identity_M = identity_N[index_M]
    order_M = np.argsort(identity_M, kind="stable")
    _, start_K, size_K = np.unique(identity_M[order_M], return_index=True, return_counts=True)
    _refuse_too_many(genuine, impostor, size_K)
    same_a, same_b = _genuine(start_K, size_K, genuine, rng)
    other_a, other_b = _impostor(start_K, size_K, impostor, rng)
    a_P = index_M[order_M[np.concatenate([same_a, other_a])]].astype(np.int64)
    b_P = index_M[order_M[np.concatenate([same_b, other_b])]].astype(np.int64)
    same_P = np.arange(count) < genuine
    shuffle_P = rng.permutation(count)
    return Pairs(a_P[shuffle_P], b_P[shuffle_P], same_P[shuffle_P])


def most_pairs(identity_M: np.ndarray) -> int:
    """The largest count that `make_pairs` can draw from images of these identities."""
    return 2 * min(pairs_there_are(identity_M))


def pairs_there_are(identity_M: np.ndarray) -> tuple[int, int]:
    """Genuine and impostor pairs between images of these identities."""
    genuine_K, impostor = _capacity(np.unique(identity_M, return_counts=True)[1])
    return int(genuine_K.sum()), impostor


def _capacity(size_K: np.ndarray) -> tuple[np.ndarray, int]:
    """Genuine pairs within each identity, and impostor pairs between all."""
    size_K = size_K.astype(np.int64)
    return size_K * (size_K - 1) // 2, int((size_K.sum() ** 2 - (size_K**2).sum()) // 2)


def _refuse_too_many(genuine: int, impostor: int, size_K: np.ndarray) -> None:
    genuine_K, impostor_exist = _capacity(size_K)
    for kind, wanted, exist in (
        ("genuine", genuine, int(genuine_K.sum())),
        ("impostor", impostor, impostor_exist),
    ):
        if wanted > exist:
            raise UserError(
                f"data.pairs.count: {genuine + impostor} asks for {wanted} {kind} pairs, but the "
                f"{size_K.sum()} images of {len(size_K)} identities make only {exist}; lower it "
                f"to {2 * exist} or hold out more"
            )


def _genuine(
    start_K: np.ndarray, size_K: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two positions (among images sorted by identity) of each genuine pair."""
    capacity_K, _ = _capacity(size_K)
    a, b = [], []
    for start, capacity, quota in zip(
        start_K, capacity_K, spread(capacity_K, count, rng), strict=True
    ):
        if quota:
            first, second = _unrank(rng.choice(capacity, quota, replace=False))
            a.append(start + first)
            b.append(start + second)
    return np.concatenate(a), np.concatenate(b)


def spread(capacity_K: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """int64 quotas that sum to count, as equal as capacity_K allows; who gets one more is drawn."""
    low, high = 0, int(capacity_K.max())  # the largest level whose quotas do not exceed count
    while low < high:
        level = (low + high + 1) // 2
        if np.minimum(capacity_K, level).sum() <= count:
            low = level
        else:
            high = level - 1
    quota_K = np.minimum(capacity_K, low)
    more = rng.permutation(np.flatnonzero(capacity_K > low))[: count - quota_K.sum()]
    quota_K[more] += 1
    return quota_K


def _unrank(rank_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rank-th of the pairs (0,1), (0,2), (1,2), (0,3), ...: first < second."""
    second = ((1 + np.sqrt(1 + 8 * rank_P.astype(np.float64))) / 2).astype(np.int64)
    second -= second * (second - 1) // 2 > rank_P  # the square root may round up
    second += second * (second + 1) // 2 <= rank_P
    return rank_P - second * (second - 1) // 2, second


def _impostor(
    start_K: np.ndarray, size_K: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two positions (among images sorted by identity) of each impostor pair."""
    items, identity_M = int(size_K.sum()), np.repeat(np.arange(len(size_K)), size_K)
    if 2 * count > _capacity(size_K)[1]:  # most of those that exist: list them all and draw
        first, second = _unrank(np.arange(items * (items - 1) // 2))
        differ = np.flatnonzero(identity_M[first] != identity_M[second])
        drawn = rng.choice(differ, count, replace=False)
        return first[drawn], second[drawn]
    kept = np.empty(0, np.int64)
    while len(kept) < count:
        # Any image, then any outside its identity's block: nothing is rejected but duplicates.
        a = rng.integers(items, size=2 * count)
        start, size = start_K[identity_M[a]], size_K[identity_M[a]]
        b = rng.integers(items - size)
        b = np.where(b < start, b, b + size)
        kept = np.concatenate([kept, np.minimum(a, b) * items + np.maximum(a, b)])
        _, first_seen = np.unique(kept, return_index=True)
        kept = kept[np.sort(first_seen)]
    return np.divmod(kept[:count], items)
