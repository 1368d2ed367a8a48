"""Pictures that are there more than once: equal bytes, or nearly equal to look at.

Shapes: N items, S pixels of a small picture, T pairs of twins.
"""

import numpy as np

NEAR = 2.0  # mean difference of the small pictures, in grey levels of 255
PART = 0.05  # and as a part of their deviation: drawings are mostly ground, which differs nowhere
FLAT = 4.0  # deviation below which a picture shows nothing to compare
BANDS = 4  # the small picture's quarters, of which near twins share a rough one
MOST = 64  # compared with so many others that look alike: blank pictures would be a million pairs


def byte_twins(sum_N: np.ndarray, valid_N: np.ndarray) -> np.ndarray:
    """twin_T2: items of equal bytes, each with the first of its kind."""
    items = np.flatnonzero(valid_N)
    order = items[np.argsort(sum_N[items], kind="stable")]
    _, start, size = np.unique(sum_N[order], return_index=True, return_counts=True)
    first = np.repeat(order[start], size)
    return np.stack([first, order], axis=1)[first != order]


def near_twins(small_NS: np.ndarray, valid_N: np.ndarray) -> np.ndarray:
    """twin_T2: pairs whose small pictures differ by at most NEAR on average, and by at most PART of
    the deviation of either (first < second).

    Candidates share a rough form of a quarter of the picture: which of its pixels are brighter
    than its mean, so that another brightness or compression hides little. Of many alike each is
    compared with the MOST that follow it, so this finds groups, not every pair in them.
    """
    spread_N = small_NS.std(axis=1)
    items = np.flatnonzero(valid_N & (spread_N > FLAT))
    near = [np.empty((0, 2), np.int64)]
    width = small_NS.shape[1] // BANDS
    for band in range(BANDS):
        part = small_NS[items, band * width : (band + 1) * width]
        bits = np.packbits(part > part.mean(axis=1, keepdims=True), axis=1)
        key = bits.astype(np.uint64) @ (256 ** np.arange(bits.shape[1], dtype=np.uint64))
        order = np.argsort(key, kind="stable")
        for ahead in range(1, MOST + 1):
            same = np.flatnonzero(key[order[ahead:]] == key[order[:-ahead]])
            if not len(same):
                break
            pair_T2 = np.sort(np.stack([items[order[same]], items[order[same + ahead]]], axis=1))
            for start in range(0, len(same), 65536):
                part_T2 = pair_T2[start : start + 65536]
                near.append(part_T2[_close(small_NS, spread_N, *part_T2.T)])
    return np.unique(np.concatenate(near), axis=0)


def _close(small_NS: np.ndarray, spread_N: np.ndarray, a_T, b_T) -> np.ndarray:
    difference = np.abs(small_NS[a_T].astype(np.int16) - small_NS[b_T]).mean(axis=1)
    return difference <= np.minimum(NEAR, PART * np.minimum(spread_N[a_T], spread_N[b_T]))
