"""1:N identification: which of the known people is each probe, if any of them?

Shapes: G images of known people, Q probes, I people, D embedding. An identity is an index into the
people; -1 is nobody known.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

BLOCK = 1024  # probes compared at once: 4 MiB of scores for each thousand of known images


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
    assert len(answer_Q) and len(answer_Q) == len(match.score_Q)
    right_Q = (match.identity_Q == answer_Q) & (answer_Q >= 0)
    if (answer_Q >= 0).all():
        return Threshold(-np.inf, float(right_Q.mean()))
    level_L, group_Q = np.unique(match.score_Q.astype(np.float64), return_inverse=True)
    # A threshold below the l-th level refuses the probes of levels before it: those who are nobody
    # become right, those matched rightly become wrong.
    gain_L = np.bincount(group_Q, (answer_Q < 0).astype(float) - right_Q, len(level_L))
    correct = right_Q.sum() + np.concatenate([[0], np.cumsum(gain_L)])
    best = int(correct.argmax())
    edges = np.concatenate([[-np.inf], (level_L[:-1] + level_L[1:]) / 2, [np.inf]])
    return Threshold(float(edges[best]), float(correct[best] / len(answer_Q)))


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
    people_I, first_I, order_G = _by_person(identity_G)
    if not known_Q.any():
        return {}
    place_Q = np.searchsorted(people_I, answer_Q[known_Q])
    rank_Q = np.empty(len(place_Q), np.int64)
    for part, score_BG in _blocks(emb_GD[order_G], emb_QD[known_Q], block):
        score_BI = np.maximum.reduceat(score_BG, first_I, axis=1)
        own_B1 = np.take_along_axis(score_BI, place_Q[part, None], axis=1)
        rank_Q[part] = (score_BI >= own_B1).sum(1)  # the person themself counts as one
    return {k: float((rank_Q <= k).mean()) for k in ranks if k <= len(people_I)}


def _by_person(identity_G: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People, and the known images in their order with where each person's begin."""
    order_G = np.argsort(identity_G, kind="stable")
    people_I, first_I = np.unique(identity_G[order_G], return_index=True)
    return people_I, first_I, order_G


def _blocks(
    emb_GD: np.ndarray, emb_QD: np.ndarray, block: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of probes and their cosines with all of G, a block at a time."""
    unit_GD, unit_QD = unit(emb_GD), unit(emb_QD)
    for start in range(0, len(emb_QD), block):
        part = slice(start, min(start + block, len(emb_QD)))
        yield part, unit_QD[part] @ unit_GD.T


def unit(emb_ND: np.ndarray, eps: float = 1e-8) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros stays zero, so that its cosines are 0."""
    emb_ND = np.asarray(emb_ND, np.float32)
    norm_N = np.sqrt(np.einsum("nd,nd->n", emb_ND, emb_ND, dtype=np.float64))
    return emb_ND / np.maximum(norm_N, eps).astype(np.float32)[:, None]
