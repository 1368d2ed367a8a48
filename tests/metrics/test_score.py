"""The cosine against torch's, and its edges; query expansion and re-ranking against dense matrices
and plain loops.

Shapes: N images, P pairs, D embedding.
"""

import numpy as np
import pytest
import torch

from starter.metrics import cosine, evaluate
from starter.metrics.score import BLOCK, CHUNK, expand, neighbours, rerank


def test_cosine_equals_torch_across_chunks():
    rng = np.random.default_rng(0)
    emb_ND = (rng.normal(size=(300, 24)) * rng.uniform(1e-3, 1e3, size=(300, 1))).astype(np.float32)
    a_P, b_P = rng.integers(300, size=(2, 2 * CHUNK + 5))
    score_P = cosine(emb_ND, a_P, b_P)
    emb = torch.from_numpy(emb_ND)
    expected_P = torch.nn.CosineSimilarity(dim=1, eps=1e-8)(emb[a_P], emb[b_P]).numpy()
    assert score_P.dtype == np.float32
    np.testing.assert_allclose(score_P, expected_P, atol=3e-7)


@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1e15])
def test_tiny_and_huge_vectors_score_as_torch_says(scale):
    rng = np.random.default_rng(1)
    emb_ND = (rng.normal(size=(20, 8)) * scale).astype(np.float32)
    emb_ND[0] = 0
    a_P, b_P = np.arange(20), np.arange(20)[::-1].copy()
    emb = torch.from_numpy(emb_ND).double()
    expected_P = torch.nn.functional.cosine_similarity(emb[a_P], emb[b_P], dim=1, eps=1e-8)
    score_P = cosine(emb_ND, a_P, b_P)
    np.testing.assert_allclose(score_P, expected_P.numpy(), rtol=1e-5, atol=1e-7)
    assert score_P[0] == 0


def test_a_score_does_not_depend_on_the_other_pairs():
    rng = np.random.default_rng(2)
    emb_ND = rng.normal(size=(50, 16)).astype(np.float32)
    a_P, b_P = rng.integers(50, size=(2, 400))
    alone_P = np.concatenate([cosine(emb_ND, a_P[i : i + 1], b_P[i : i + 1]) for i in range(400)])
    np.testing.assert_allclose(cosine(emb_ND, a_P, b_P), alone_P, atol=1e-7)


def test_no_pairs_and_an_absent_image():
    emb_ND = np.ones((2, 3), np.float32)
    empty = np.zeros(0, np.int64)
    assert cosine(emb_ND, empty, empty).shape == (0,)
    with pytest.raises(AssertionError, match="not embedded"):
        cosine(emb_ND, np.array([-1]), np.array([0]))


def clustered(rng, people=12, each=6, noise=0.8):
    centre_ID = rng.normal(size=(people, 16))
    emb_ND = np.repeat(centre_ID, each, 0) + noise * rng.normal(size=(people * each, 16))
    return emb_ND.astype(np.float32), np.repeat(np.arange(people), each)


def cosines(emb_ND):
    unit_ND = emb_ND.astype(float) / np.linalg.norm(emb_ND.astype(float), axis=1, keepdims=True)
    return unit_ND, unit_ND @ unit_ND.T


def ranking(row_N, n):
    """All images, nearest first, n itself before all."""
    return sorted(range(len(row_N)), key=lambda m: (m != n, -row_N[m], m))


def test_neighbours_across_blocks():
    rng = np.random.default_rng(0)
    unit_ND = cosines(rng.normal(size=(BLOCK + 40, 6)))[0].astype(np.float32)
    unit_ND[7] = unit_ND[3]  # a tie, and a twin that is as near as the image itself
    index_NJ, _ = neighbours(unit_ND, 5)
    for n in (0, 3, 7, BLOCK - 1, BLOCK, BLOCK + 39):
        assert index_NJ[n].tolist() == ranking(unit_ND[n] @ unit_ND.T, n)[:5]


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_expansion_by_a_loop(alpha):
    emb_ND, _ = clustered(np.random.default_rng(1))
    unit_ND, score_NN = cosines(emb_ND)
    found = expand(emb_ND, 4, alpha)
    for n in range(len(emb_ND)):
        total = sum(
            max(score_NN[n][m], 0) ** alpha * unit_ND[m] if m != n else unit_ND[n]
            for m in ranking(score_NN[n], n)[:5]
        )
        np.testing.assert_allclose(found[n], total / np.linalg.norm(total), atol=1e-5)


def brute_force(emb_ND, k1, k2, original):
    """The paper's steps over dense lists, one image at a time."""
    _, score_NN = cosines(emb_ND)
    count = len(emb_ND)
    rank = [ranking(score_NN[n], n) for n in range(count)]

    def reciprocal(n, k):
        return [m for m in rank[n][: k + 1] if n in rank[m][: k + 1]]

    vectors = np.zeros((count, count))
    for n in range(count):
        own = reciprocal(n, k1)
        members = set(own)
        for m in own:
            theirs = reciprocal(m, round(k1 / 2))
            if len(set(theirs) & set(own)) > 2 / 3 * len(theirs):
                members |= set(theirs)
        for m in members:
            vectors[n, m] = np.exp(-(2 - 2 * score_NN[n, m]))
        vectors[n] /= vectors[n].sum()
    vectors = np.array([np.mean([vectors[m] for m in rank[n][:k2]], axis=0) for n in range(count)])
    result = np.zeros((count, count))
    for a in range(count):
        for b in range(count):
            jaccard = (
                np.minimum(vectors[a], vectors[b]).sum() / np.maximum(vectors[a], vectors[b]).sum()
            )
            result[a, b] = original * score_NN[a, b] + (1 - original) * jaccard
    return result


@pytest.mark.parametrize("k1, k2, original", [(8, 3, 0.3), (5, 1, 0.0), (200, 6, 0.5)])
def test_reranking_by_brute_force(k1, k2, original):
    emb_ND, _ = clustered(np.random.default_rng(2))
    a_P, b_P = (part.ravel() for part in np.meshgrid(np.arange(72), np.arange(72)))
    found_P = rerank(emb_ND, a_P, b_P, k1=k1, k2=k2, original=original)
    k1 = min(k1, len(emb_ND) - 1)
    np.testing.assert_allclose(found_P, brute_force(emb_ND, k1, k2, original)[a_P, b_P], atol=1e-5)


def test_both_help_where_people_have_many_images():
    emb_ND, person_N = clustered(np.random.default_rng(3), people=30, each=8, noise=1.0)
    a_P, b_P = np.triu_indices(len(emb_ND), 1)
    same_P = person_N[a_P] == person_N[b_P]
    plain = evaluate(cosine(emb_ND, a_P, b_P), same_P)["eer"]
    expanded = evaluate(cosine(expand(emb_ND, 4, 3.0), a_P, b_P), same_P)["eer"]
    reranked = evaluate(rerank(emb_ND, a_P, b_P, k1=8, k2=3, original=0.3), same_P)["eer"]
    assert expanded < plain and reranked < plain
