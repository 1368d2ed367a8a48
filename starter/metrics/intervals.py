"""How far a metric would move on other data like this: bootstrap weights and intervals.

Shapes: P pairs, R resamples, I identities.

A resample is a vector of whole weights, how often each pair is drawn, so that metrics can work on
pairs sorted once. Pairs that share a person are not independent: with a hundred pairs of one
badly lit person, resampling pairs gives intervals that are too narrow. Where identities are known
they are resampled instead (the vertex bootstrap of Snijders and Borgatti, Connections 22(2), 1999,
61-70): with identity i drawn m_i times, an impostor pair (i, j) counts m_i * m_j times, and a
genuine pair of i counts m_i times, as it belongs to each copy of i and copies are not compared
with each other. Such an interval errs on the wide side: where identities do not matter and few
pairs share one, by a factor of up to sqrt(3) (Owen, The pigeonhole bootstrap, Ann. Appl. Stat.
1(2), 2007).
"""

from collections.abc import Iterator

import numpy as np

ELEMENTS = 2_000_000  # of a block of weights: 16 MB as int64
LEVEL = 95.0  # per cent


def resampled_by(identity_P2: np.ndarray | None) -> str:
    """What is drawn: "identity" where every pair's identities are known (>= 0), else "pair"."""
    known = identity_P2 is not None and len(identity_P2) and identity_P2.min() >= 0
    return "identity" if known else "pair"


def resampled_weights(
    same_P: np.ndarray, identity_P2: np.ndarray | None, resamples: int, seed: int
) -> Iterator[np.ndarray]:
    """Blocks of weight_RP int64, `resamples` rows in all, the same for the same arguments.

    A draw without a single genuine or a single impostor pair measures nothing and is drawn anew.

    Args:
        same_P: bool, at least one of each kind.
        identity_P2: int identities of both sides; None, or any below 0 (unknown): draw pairs.
    """
    rng = np.random.default_rng(seed)
    index_P2 = None
    units = len(same_P)
    if resampled_by(identity_P2) == "identity":
        identity_I, index = np.unique(np.asarray(identity_P2), return_inverse=True)
        index_P2 = index.reshape(-1, 2)
        units = len(identity_I)
    rows = max(1, ELEMENTS // max(units, len(same_P)))
    left = resamples
    while left:
        count_RI = _draw(rng, min(rows, left), units)
        weight_RP = count_RI if index_P2 is None else _pair_weights(count_RI, index_P2, same_P)
        both = weight_RP[:, same_P].any(axis=1) & weight_RP[:, ~same_P].any(axis=1)
        weight_RP = weight_RP[both]
        left -= len(weight_RP)
        if len(weight_RP):
            yield weight_RP


def _draw(rng: np.random.Generator, rows: int, units: int) -> np.ndarray:
    """How often each of `units` comes up in `units` draws with replacement, (rows, units)."""
    drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)


def _pair_weights(count_RI: np.ndarray, index_P2: np.ndarray, same_P: np.ndarray) -> np.ndarray:
    """weight_RP of pairs from how often their identities were drawn."""
    first_RP, second_RP = count_RI[:, index_P2[:, 0]], count_RI[:, index_P2[:, 1]]
    return np.where(same_P, first_RP, first_RP * second_RP)


def percentile_interval(value_R: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval (low, high) of resampled values."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(value_R, [tail, 100 - tail])
    return float(low), float(high)
