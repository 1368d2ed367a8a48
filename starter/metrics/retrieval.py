"""Retrieval among held-out classes: does an image find the others of its class?

Shapes: N images, Q of them that have another of their class, B a block of those, D embedding.
"""

from collections.abc import Sequence

import numpy as np

from starter.metrics.identify import BLOCK, unit


def retrieve(
    emb_ND: np.ndarray, identity_N: np.ndarray, ks: Sequence[int] = (1, 2, 4, 8), block: int = BLOCK
) -> dict:
    """recall@k and mAP@R (Musgrave, Belongie and Lim 2020, equation 3) by cosine.

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
        top_BR = _top(score_BN, deepest)
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


def _top(score_BN: np.ndarray, count: int) -> np.ndarray:
    """The columns of each row's largest scores, in falling order; the first of equals first."""
    if count < score_BN.shape[1] - 1:
        part_BR = np.argpartition(-score_BN, count, axis=1)[:, :count]
        part_BR.sort(1)
        order_BR = np.argsort(-np.take_along_axis(score_BN, part_BR, 1), axis=1, kind="stable")
        return np.take_along_axis(part_BR, order_BR, 1)
    return np.argsort(-score_BN, axis=1, kind="stable")[:, :count]
