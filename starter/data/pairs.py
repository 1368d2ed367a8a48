"""Validation pairs for a set that ships none: seeded, balanced, of identities never trained on.

Shapes: N items, M items to pair, P pairs, K identities.
"""

from bisect import bisect_right

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


def make_pairs(
    identity_N: np.ndarray, index_M: np.ndarray, count: int, seed: int, genuine: int | None = None
) -> Pairs:
    """Genuine and impostor pairs, half of them each, in random order.

    Genuine pairs are spread as evenly over identities as their images allow; an impostor pair is
    any image and any of another identity. No pair occurs twice, in either order, and none is of
    an image with itself.

    Args:
        identity_N: int64 identity of every item of the catalog.
        index_M: the items to pair; all of known identity.
        count: P; one more impostor than genuine when odd.
        genuine: how many of them are; None: half.
    Raises:
        UserError: fewer such pairs exist, saying how many.
    """
    genuine = count // 2 if genuine is None else genuine
    impostor = count - genuine
    rng = np.random.default_rng(seed)
    identity_M = identity_N[index_M]
    order_M = np.argsort(identity_M, kind="stable")
    _, start_K, size_K = np.unique(identity_M[order_M], return_index=True, return_counts=True)
    for kind, wanted, exist in zip(
        ("genuine", "impostor"), (genuine, impostor), pairs_there_are(identity_M), strict=True
    ):
        if wanted > exist:
            raise UserError(
                f"data.pairs.count: {count} asks for {wanted} {kind} pairs, but the "
                f"{len(index_M)} images of {len(size_K)} identities make only {exist}; lower it "
                f"to {2 * exist} or hold out more"
            )
    same_a, same_b = _genuine(start_K, size_K, genuine, rng)
    other_a, other_b = _impostor(start_K, size_K, impostor, rng)
    a_P = index_M[order_M[np.concatenate([same_a, other_a])]].astype(np.int64)
    b_P = index_M[order_M[np.concatenate([same_b, other_b])]].astype(np.int64)
    same_P = np.arange(count) < genuine
    shuffle_P = rng.permutation(count)
    return Pairs(a_P[shuffle_P], b_P[shuffle_P], same_P[shuffle_P])


def pairs_there_are(identity_M: np.ndarray) -> tuple[int, int]:
    """Genuine and impostor pairs between images of these identities."""
    size_K, images = np.unique(identity_M, return_counts=True)[1], len(identity_M)
    genuine = int((size_K * (size_K - 1) // 2).sum())
    return genuine, images * (images - 1) // 2 - genuine


def _genuine(
    start_K: np.ndarray, size_K: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two positions (among images sorted by identity) of each genuine pair."""
    capacity_K = size_K * (size_K - 1) // 2
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
    levels = range(int(capacity_K.max()) + 1)  # the largest whose quotas do not exceed count
    level = bisect_right(levels, count, key=lambda level: np.minimum(capacity_K, level).sum()) - 1
    quota_K = np.minimum(capacity_K, level)
    more = rng.permutation(np.flatnonzero(capacity_K > level))[: count - quota_K.sum()]
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
    exist = (items**2 - int((size_K**2).sum())) // 2
    if 2 * count > exist:  # most of those that exist: list them all and draw
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
