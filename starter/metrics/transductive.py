"""Scores that look at the other images too: query expansion and k-reciprocal re-ranking.

A pair's score then depends on which other images are to be scored: more than a test set may be used
for in many competitions, and nothing that two pictures alone could give.

Shapes: N images, P pairs, D embedding, J neighbours.
"""

import numpy as np

from starter.metrics.identify import BLOCK
from starter.metrics.score import largest, unit


def neighbours(unit_ND: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest images by cosine, itself first (int64 index_NJ), and their cosines (score_NJ).

    J = min(count, N); of equally near ones the lower index.
    """
    total = len(unit_ND)
    kept = min(count, total)
    index_NJ = np.empty((total, kept), np.int64)
    score_NJ = np.empty((total, kept), np.float32)
    for start in range(0, total, BLOCK):
        score_BN = unit_ND[start : start + BLOCK] @ unit_ND.T
        rows = np.arange(len(score_BN))
        score_BN[rows, start + rows] = np.inf
        part = slice(start, start + BLOCK)
        index_NJ[part] = largest(score_BN, kept)
        score_NJ[part] = np.take_along_axis(score_BN, index_NJ[part], axis=1)
    score_NJ[:, 0] = 1
    return index_NJ, score_NJ


def expand(emb_ND: np.ndarray, nearest: int, alpha: float) -> np.ndarray:
    """Each embedding plus its nearest, all of length 1, weighed by max(cosine, 0) ** alpha
    (alpha query expansion, Radenovic et al. 2019, section 3.3); float32, of length 1."""
    unit_ND = unit(emb_ND)
    index_NJ, score_NJ = neighbours(unit_ND, nearest + 1)
    weight_NJ = np.maximum(score_NJ, 0) ** np.float32(alpha)
    return unit(np.einsum("nj,njd->nd", weight_NJ, unit_ND[index_NJ]))


def rerank(
    emb_ND: np.ndarray, a_P: np.ndarray, b_P: np.ndarray, *, k1: int, k2: int, original: float
) -> np.ndarray:
    """score_P float32: original * cosine + (1 - original) * Jaccard similarity of the pair's
    k-reciprocal neighbour sets (Zhong et al. 2017, sections 3.2 to 3.5; distances are squared ones
    of embeddings of length 1)."""
    unit_ND = unit(emb_ND)
    index_NJ, _ = neighbours(unit_ND, max(k1 + 1, k2))
    sets_NN = _reciprocal_sets(unit_ND, index_NJ[:, : k1 + 1])
    sets_NN = _averaged(sets_NN, index_NJ[:, :k2])
    shared_P = np.asarray(sets_NN[a_P].minimum(sets_NN[b_P]).sum(axis=1)).ravel()
    jaccard_P = shared_P / (2 - shared_P)  # every row sums to 1
    cosine_P = np.einsum("pd,pd->p", unit_ND[a_P], unit_ND[b_P])
    return (original * cosine_P + (1 - original) * jaccard_P).astype(np.float32)


def _reciprocal_sets(unit_ND: np.ndarray, index_NJ: np.ndarray):
    """Sparse (N, N): of each image, its k-reciprocal neighbours with weight exp(-distance); rows
    sum to 1."""
    from scipy.sparse import csr_array

    half = round((index_NJ.shape[1] - 1) / 2) + 1
    mutual = [_mutual(index_NJ, n) for n in range(len(index_NJ))]
    mutual_half = [_mutual(index_NJ[:, :half], n) for n in range(len(index_NJ))]
    columns, values, ends = [], [], [0]
    for n, own in enumerate(mutual):
        taken = [own]
        for candidate in own:
            theirs = mutual_half[candidate]
            if 3 * np.isin(theirs, own).sum() > 2 * len(theirs):
                taken.append(theirs)
        members = np.unique(np.concatenate(taken))
        weight = np.exp(2 * (unit_ND[members] @ unit_ND[n]).astype(np.float64) - 2)
        columns.append(members)
        values.append(weight / weight.sum())
        ends.append(ends[-1] + len(members))
    arrays = (np.concatenate(values), np.concatenate(columns), np.array(ends))
    return csr_array(arrays, shape=(len(index_NJ), len(index_NJ)))


def _mutual(index_NJ: np.ndarray, n: int) -> np.ndarray:
    """Those of image n's neighbours that have n among theirs; itself too."""
    own_J = index_NJ[n]
    return own_J[(index_NJ[own_J] == n).any(axis=1)]


def _averaged(sets_NN, index_NJ: np.ndarray):
    """Each image's set as the mean of its nearest images' sets."""
    from scipy.sparse import csr_array

    count, nearest = index_NJ.shape
    ends = np.arange(count + 1) * nearest
    values = np.full(count * nearest, 1 / nearest)
    return csr_array((values, index_NJ.ravel(), ends), shape=(count, count)) @ sets_NN
