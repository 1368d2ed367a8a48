"""The cosine against torch's, and its edges."""

import numpy as np
import pytest
import torch

from starter.metrics import cosine
from starter.metrics.score import CHUNK


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
