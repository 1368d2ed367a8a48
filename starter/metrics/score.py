"""Similarity of pairs of embeddings, and the largest of many.

Shapes: N embeddings, D dimensions, P pairs, B rows of C columns, T of them kept.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from starter.distributed import cores

# Pairs at once, by a thread a core (numpy gathers and multiplies without the interpreter's lock):
# larger chunks no longer fit a core's cache.
CHUNK = 1024


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
