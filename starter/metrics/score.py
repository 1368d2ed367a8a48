"""How alike two images are: the cosine of their embeddings, and scores that look at the other
images too, by query expansion and k-reciprocal re-ranking.

Such a pair's score depends on which other images are to be scored: more than a test set may be used
for in many competitions, and nothing that two pictures alone could give.

Shapes: N images or embeddings, D dimensions, P pairs, J neighbours, B rows of C columns, T of them
kept.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from starter.distributed import cores

# Pairs at once, by a thread a core (numpy gathers and multiplies without the interpreter's lock):
# larger chunks no longer fit a core's cache.
CHUNK = 1024
BLOCK = 1024  # images compared with all others at once: 4 MiB of scores for each thousand of those


def unit(emb_ND: np.ndarray, eps: float = 1e-8) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros stays zero, so that its cosines are 0."""
    emb_ND = np.asarray(emb_ND, np.float32)
    norm_N = np.sqrt(np.einsum("nd,nd->n", emb_ND, emb_ND, dtype=np.float64))
    return emb_ND / np.maximum(norm_N, eps).astype(np.float32)[:, None]


def cosine(emb_ND: np.ndarray, a_P: np.ndarray, b_P: np.ndarray, eps: float = 1e-8) -> np.ndarray:
    """Cosine similarity of pairs of rows, as torch.nn.CosineSimilarity defines it.

    x.y / (max(|x|, eps) * max(|y|, eps)): an all-zero embedding scores 0 with everything.

    Args:
        emb_ND: float embeddings, not normalised; used as float32.
        a_P, b_P: integer rows of emb_ND.
        eps: lower bound of a norm (the course's value).
    Returns:
        score_P float32, in [-1, 1] up to rounding.
    """
    assert emb_ND.ndim == 2 and a_P.shape == b_P.shape, (emb_ND.shape, a_P.shape, b_P.shape)
    score_P = np.empty(len(a_P), np.float32)
    if not len(a_P):
        return score_P
    # numpy would take a row of -1 from the end
    assert min(a_P.min(), b_P.min()) >= 0, "a pair of an image that was not embedded"
    unit_ND = unit(emb_ND, eps)

    def score(start: int) -> None:
        part = slice(start, start + CHUNK)
        score_P[part] = np.einsum("nd,nd->n", unit_ND[a_P[part]], unit_ND[b_P[part]])

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(score, range(0, len(a_P), CHUNK)))
    return score_P


def largest(value_BC: np.ndarray, count: int) -> np.ndarray:
    """The columns of each row's `count` largest values, in falling order (int64, T at most C).

    Of equal values the first column comes first; where more are equal than there is room for at the
    end, which of them are kept is left open.
    """
    kept = min(count, value_BC.shape[1])
    part_BT = np.sort(np.argpartition(-value_BC, kept - 1, axis=1)[:, :kept], axis=1)
    order_BT = np.argsort(-np.take_along_axis(value_BC, part_BT, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part_BT, order_BT, axis=1)


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
