"""Similarity of pairs of embeddings.

Shapes: N embeddings, D dimensions, P pairs.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from starter.distributed import cores

# Pairs at once, by a thread a core (numpy gathers and multiplies without the interpreter's lock):
# larger chunks no longer fit a core's cache.
CHUNK = 1024


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
    emb_ND = np.asarray(emb_ND, dtype=np.float32)
    score_P = np.empty(len(a_P), np.float32)
    if not len(a_P):
        return score_P
    # numpy would take a row of -1 from the end
    assert min(a_P.min(), b_P.min()) >= 0, "a pair of an image that was not embedded"
    norm_N = np.sqrt(np.einsum("nd,nd->n", emb_ND, emb_ND, dtype=np.float64))
    unit_ND = emb_ND / np.maximum(norm_N, eps).astype(np.float32)[:, None]

    def score(start: int) -> None:
        part = slice(start, start + CHUNK)
        score_P[part] = np.einsum("nd,nd->n", unit_ND[a_P[part]], unit_ND[b_P[part]])

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(score, range(0, len(a_P), CHUNK)))
    return score_P
