"""Against pytorch-metric-learning where it has the loss and means the same."""

import math

import pytest
import torch
from torch import nn

from starter import losses

theirs = pytest.importorskip("pytorch_metric_learning.losses")
reducers = pytest.importorskip("pytorch_metric_learning.reducers")
distances = pytest.importorskip("pytorch_metric_learning.distances")
miners = pytest.importorskip("pytorch_metric_learning.miners")

D, K = 8, 5
LABEL = torch.arange(20) % K  # every anchor has positives and negatives


def emb(seed):
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(K, D, generator=generator, dtype=torch.float64)
    return (torch.randn(20, D, generator=generator, dtype=torch.float64) + centre[LABEL]).detach()


def agree(ours, other):
    """Equal values and gradients on three batches."""
    for seed in range(3):
        x = emb(seed).requires_grad_()
        a, b = ours(x, LABEL), other(x)
        assert a.item() == pytest.approx(b.item(), rel=1e-6)
        torch.testing.assert_close(
            torch.autograd.grad(a, x), torch.autograd.grad(b, x), rtol=1e-5, atol=1e-7
        )


HEADS = {
    # below pi - m, where PML falls back to another function, and of large enough angles that the
    # exact slope is not held
    "arcface": lambda: theirs.ArcFaceLoss(K, D, margin=math.degrees(0.3), scale=10),
    "cosface": lambda: theirs.CosFaceLoss(K, D, margin=0.35, scale=10),
    "normface": lambda: theirs.NormalizedSoftmaxLoss(K, D, temperature=0.1),
    "proxy_anchor": lambda: theirs.ProxyAnchorLoss(K, D, margin=0.1, alpha=32),
}
OPTIONS = {
    "arcface": {"margin": 0.3, "scale": 10.0},
    "cosface": {"scale": 10.0},
    "normface": {"scale": 10.0},
    "proxy_anchor": {},
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads(kind):
    torch.manual_seed(0)
    ours = losses.build(kind, embedding=D, classes=K, **OPTIONS[kind]).double()
    other = HEADS[kind]().double()
    name = "proxies" if kind == "proxy_anchor" else "W"
    weight = ours.weight.detach()
    value = weight.clone() if kind == "proxy_anchor" else weight.T.clone()
    setattr(other, name, nn.Parameter(value))
    agree(ours, lambda x: other(x, LABEL))


def mean_of(loss_class, **options):
    return loss_class(reducer=reducers.MeanReducer(), **options)


PAIRS = {
    "contrastive": (
        {"squared": False, "positive_margin": 0.2},
        mean_of(theirs.ContrastiveLoss, pos_margin=0.2, neg_margin=1.0),
    ),
    "contrastive of all": ({"squared": False}, mean_of(theirs.ContrastiveLoss)),
    "triplet": (
        {"mining": "batch_all", "margin": 0.2},
        mean_of(theirs.TripletMarginLoss, margin=0.2),
    ),
    "triplet squared": (
        {"mining": "batch_all", "margin": 0.2, "squared": True},
        mean_of(theirs.TripletMarginLoss, margin=0.2, distance=distances.LpDistance(power=2)),
    ),
    "triplet in the 3-norm": (  # of vectors of Euclidean length 1
        {"mining": "batch_all", "margin": 0.2, "p": 3.0},
        mean_of(
            theirs.TripletMarginLoss,
            margin=0.2,
            distance=distances.LpDistance(normalize_embeddings=False, p=3),
        ),
    ),
    "triplet soft": (
        {"mining": "batch_all", "margin": "soft"},
        mean_of(theirs.TripletMarginLoss, margin=0.0, smooth_loss=True),
    ),
    "supcon": ({}, theirs.SupConLoss(temperature=0.1)),
    "circle": ({}, mean_of(theirs.CircleLoss, m=0.4, gamma=80)),
    "multi_similarity": (
        {"epsilon": None},
        mean_of(theirs.MultiSimilarityLoss, alpha=2, beta=50, base=0.5),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    options, other = PAIRS[name]
    ours = losses.build(name.split()[0], embedding=D, classes=K, **options)
    agree(ours, lambda x: other(nn.functional.normalize(x, dim=1), LABEL))


def test_batch_hard_and_mined_multi_similarity():
    hard, similar = miners.BatchHardMiner(), miners.MultiSimilarityMiner(epsilon=0.1)
    triplet = mean_of(theirs.TripletMarginLoss, margin=0.3)
    agree(
        losses.build("triplet", embedding=D, classes=K), lambda x: triplet(x, LABEL, hard(x, LABEL))
    )
    multi = mean_of(theirs.MultiSimilarityLoss, alpha=2, beta=50, base=0.5)
    agree(
        losses.build("multi_similarity", embedding=D, classes=K),
        lambda x: multi(x, LABEL, similar(x, LABEL)),
    )
