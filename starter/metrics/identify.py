"""1:N identification: which of the known people is each probe, if any of them? And retrieval: does
an image find the others of its class?

Shapes: G images of known people, Q probes, I people, D embedding; of retrieval, N images, Q of them
that have another of their class, B a block of those. An identity is an index into the people; -1 is
nobody known.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from starter.metrics.folds import best_threshold
from starter.metrics.score import BLOCK, largest, unit


class Match(NamedTuple):
    """The most alike person of each probe, and how alike."""

    identity_Q: np.ndarray
    score_Q: np.ndarray


class Threshold(NamedTuple):
    """Below `value` a probe is nobody known; `accuracy` is of the probes it was fitted on."""

    value: float
    accuracy: float


def identify(
    emb_GD: np.ndarray, identity_G: np.ndarray, emb_QD: np.ndarray, block: int = BLOCK
) -> Match:
    """The person of the most alike known image, by cosine; the first such image where many tie."""
    identity_Q, score_Q = np.empty(len(emb_QD), np.int64), np.empty(len(emb_QD), np.float32)
    for part, score_BG in _blocks(emb_GD, emb_QD, block):
        best_B = score_BG.argmax(1)
        identity_Q[part] = identity_G[best_B]
        score_Q[part] = score_BG[np.arange(len(best_B)), best_B]
    return Match(identity_Q, score_Q)


def decide(match: Match, threshold: float) -> np.ndarray:
    """identity_Q with -1 where the score is below the threshold."""
    return np.where(match.score_Q < threshold, -1, match.identity_Q)


def fit_threshold(match: Match, answer_Q: np.ndarray) -> Threshold:
    """The threshold of the highest accuracy on labelled probes, midway between two scores.

    Where several are as good, the lowest: it calls fewest people unknown. -inf (nobody is unknown)
    where every probe is somebody, as in F22.
    """
    right_Q = (match.identity_Q == answer_Q) & (answer_Q >= 0)
    # Refusing a probe makes it right if it is nobody, and wrong if it was matched rightly.
    value, gain = best_threshold(match.score_Q, (answer_Q < 0).astype(float) - right_Q)
    return Threshold(value, float((right_Q.sum() + gain) / len(answer_Q)))


def fit_known(score_K: np.ndarray, score_U: np.ndarray) -> Threshold:
    """The threshold of the highest balanced accuracy of known (K scores, at or above it) and
    unknown (U, below), midway between two scores; 0 where nothing is gained by one.

    `accuracy` is the mean of the shares of both that it judges rightly.
    """
    gain_K, gain_U = np.full(len(score_K), -0.5 / len(score_K)), np.full(len(score_U), 0.5)
    gain_N = np.concatenate([gain_K, gain_U / len(score_U)])
    value, gain = best_threshold(np.concatenate([score_K, score_U]), gain_N)
    return Threshold(max(value, 0.0), 0.5 + gain)


def cmc(
    emb_GD: np.ndarray,
    identity_G: np.ndarray,
    emb_QD: np.ndarray,
    answer_Q: np.ndarray,
    ranks: Sequence[int] = (1, 5, 10),
    block: int = BLOCK,
) -> dict[int, float]:
    """Cumulative match characteristic: the share of known probes whose person is among the k most
    alike people (each by their most alike image). A tie counts against the probe.

    Ranks beyond the number of people are left out; nothing at all without known probes.
    """
    known_Q = answer_Q >= 0
    if not known_Q.any():
        return {}
    order_G = np.argsort(identity_G, kind="stable")  # each person's images side by side
    people_I, first_I = np.unique(identity_G[order_G], return_index=True)
    place_Q = np.searchsorted(people_I, answer_Q[known_Q])
    rank_Q = np.empty(len(place_Q), np.int64)
    for part, score_BG in _blocks(emb_GD[order_G], emb_QD[known_Q], block):
        score_BI = np.maximum.reduceat(score_BG, first_I, axis=1)
        own_B1 = np.take_along_axis(score_BI, place_Q[part, None], axis=1)
        rank_Q[part] = (score_BI >= own_B1).sum(1)  # the person themself counts as one
    return {k: float((rank_Q <= k).mean()) for k in ranks if k <= len(people_I)}


def retrieve(
    emb_ND: np.ndarray, identity_N: np.ndarray, ks: Sequence[int] = (1, 2, 4, 8), block: int = BLOCK
) -> dict:
    """Retrieval among held-out classes by cosine: recall@k and mAP@R (Musgrave, Belongie and Lim
    2020, equation 3).

    Every image is a query against all others; images alone in their class only distract. mAP@R is
    the mean over queries of (1/R) sum over i <= R of precision at i where the i-th is of the class,
    with R the other images of the class.

    Returns:
        queries, recall_at {k: fraction}, map_at_r; empty where no class has two images.
    """
    _, class_N, size_K = np.unique(identity_N, return_inverse=True, return_counts=True)
    query_Q = np.flatnonzero(size_K[class_N] > 1)
    if not len(query_Q):
        return {}
    unit_ND, others_N = unit(emb_ND), size_K[class_N] - 1
    deepest = min(len(emb_ND) - 1, max(int(others_N.max()), *ks))
    hits, precision = np.zeros(len(ks)), 0.0
    for start in range(0, len(query_Q), block):
        query_B = query_Q[start : start + block]
        score_BN = unit_ND[query_B] @ unit_ND.T
        score_BN[np.arange(len(query_B)), query_B] = -np.inf
        top_BR = largest(score_BN, deepest)
        same_BR = class_N[top_BR] == class_N[query_B, None]
        hits += [same_BR[:, :k].any(1).sum() for k in ks]
        position_R = np.arange(1, deepest + 1)
        inside_BR = same_BR & (position_R <= others_N[query_B, None])
        at_BR = np.cumsum(same_BR, 1) / position_R
        precision += float(((at_BR * inside_BR).sum(1) / others_N[query_B]).sum())
    recall = {k: float(hit / len(query_Q)) for k, hit in zip(ks, hits, strict=True)}
    return {
        "queries": len(query_Q),
        "recall_at": {k: value for k, value in recall.items() if k < len(emb_ND)},
        "map_at_r": precision / len(query_Q),
    }


def _blocks(
    emb_GD: np.ndarray, emb_QD: np.ndarray, block: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of probes and their cosines with all of G, a block at a time."""
    unit_GD, unit_QD = unit(emb_GD), unit(emb_QD)
    for start in range(0, len(emb_QD), block):
        part = slice(start, min(start + block, len(emb_QD)))
        yield part, unit_QD[part] @ unit_GD.T
