"""Triplet mining against loops over every triplet, in float64."""

import math

import pytest
import torch

from starter import losses

D = 4
MINING = ["batch_all", "batch_hard", "semi_hard"]
DISTANCES = [(True, 2.0), (False, 1.0), (False, 3.0), (True, 1.5)]


def batch(labels, seed=0, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    label = torch.tensor(labels)
    emb = torch.randn(len(labels), D, generator=generator, dtype=torch.float64)
    centre = torch.randn(max(labels) + 1, D, generator=generator, dtype=torch.float64)
    return (spread * emb + 2 * centre[label]), label


def distance_table(emb, squared=False, p=2.0):
    rows = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in emb.tolist()]
    return [
        [
            sum(abs(x - y) ** p for x, y in zip(a, b, strict=True)) ** ((1 + squared) / p)
            for b in rows
        ]
        for a in rows
    ]


def hinge(gap, margin):
    return math.log1p(math.exp(gap)) if margin == "soft" else max(0.0, gap + margin)


def by_loop(emb, label, mining, margin, squared=False, p=2.0):
    """The definition, triplet by triplet; also how often semi-hard had to fall back."""
    d, y, out, fallbacks = distance_table(emb, squared, p), label.tolist(), [], 0
    for a in range(len(y)):
        positives = [d[a][i] for i in range(len(y)) if y[i] == y[a] and i != a]
        negatives = [d[a][i] for i in range(len(y)) if y[i] != y[a]]
        if not positives or not negatives:
            continue
        if mining == "batch_all":
            out += [hinge(d_ap - d_an, margin) for d_ap in positives for d_an in negatives]
            continue
        if mining == "batch_hard":
            out.append(hinge(max(positives) - min(negatives), margin))
            continue
        for d_ap in positives:
            reach = math.inf if margin == "soft" else margin
            semi = [n for n in negatives if d_ap < n < d_ap + reach]
            fallbacks += not semi
            out.append(hinge(d_ap - min(semi or negatives), margin))
    return (sum(out) / len(out) if out else 0.0), fallbacks


BATCHES = {
    "pk": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "uneven": [0, 0, 0, 0, 1, 1, 2, 3],  # 2 and 3 have no positive
    "shuffled": [2, 0, 1, 0, 2, 1, 0, 2],
}


@pytest.mark.parametrize("margin", [0.05, 0.3, 1.0, "soft"])
@pytest.mark.parametrize("mining", MINING)
@pytest.mark.parametrize("labels", BATCHES.values(), ids=BATCHES.keys())
def test_triplets_are_the_definition(labels, mining, margin):
    term = losses.build("triplet", embedding=D, classes=4, mining=mining, margin=margin)
    for seed in range(8):
        emb, label = batch(labels, seed)
        expected, _ = by_loop(emb, label, mining, margin)
        # 1e-8 under the root against none in the loop
        assert term(emb, label).item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("squared", "p"), DISTANCES)
@pytest.mark.parametrize("margin", [0.3, "soft"])
@pytest.mark.parametrize("mining", MINING)
def test_other_distances(mining, margin, squared, p):
    options = {"mining": mining, "margin": margin, "squared": squared, "p": p}
    term = losses.build("triplet", embedding=D, classes=4, **options)
    for labels in BATCHES.values():
        emb, label = batch(labels, 1)
        expected, _ = by_loop(emb, label, mining, margin, squared, p)
        assert term(emb, label).item() == pytest.approx(expected, abs=1e-7)
    assert torch.autograd.gradcheck(lambda e: term(e, label), (emb.requires_grad_(),))


def test_the_batches_exercise_both_sides_of_semi_hard():
    counts = [by_loop(*batch(BATCHES["pk"], seed), "semi_hard", 0.3)[1] for seed in range(8)]
    assert 0 < sum(counts) < 8 * 18  # 18 anchor-positive pairs each


@pytest.mark.parametrize("margin", [0.3, "soft"])
@pytest.mark.parametrize("mining", MINING)
def test_gradients(mining, margin):
    term = losses.build("triplet", embedding=D, classes=4, mining=mining, margin=margin)
    emb, label = batch(BATCHES["uneven"], 1)
    assert torch.autograd.gradcheck(lambda e: term(e, label), (emb.requires_grad_(),))
    assert torch.autograd.grad(term(emb, label), emb)[0].abs().sum() > 0


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0], [0]])
@pytest.mark.parametrize("mining", MINING)
def test_nothing_to_compare_is_zero_on_the_graph(mining, labels):
    term = losses.build("triplet", embedding=D, classes=4, mining=mining)
    emb, label = batch(labels)
    loss = term(emb.requires_grad_(), label)
    assert loss.item() == 0.0
    loss.backward()
    assert (emb.grad == 0).all()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("margin", [0.3, "soft"])
@pytest.mark.parametrize("mining", MINING)
def test_finite_at_the_edges(mining, margin, dtype):
    for squared, p in [(False, 2.0), *DISTANCES]:
        options = {"mining": mining, "margin": margin, "squared": squared, "p": p}
        check_edges(losses.build("triplet", embedding=D, classes=4, **options), dtype)


def check_edges(term, dtype):
    for seed in range(8):
        x = torch.randn(D, generator=torch.Generator().manual_seed(seed))
        rows = [x, x, 3 * x, -x, 0 * x, 0 * x, 1e15 * x, x + 1e-7, x + 1e-4, -x]
        emb = torch.stack(rows).requires_grad_()
        label = torch.tensor([0, 0, 1, 1, 0, 1, 2, 2, 1, 0])
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            loss = term(emb, label)
        assert loss.dtype == torch.float32
        loss.backward()
        assert loss.isfinite() and emb.grad.isfinite().all()


def test_a_negative_as_far_as_the_positive_is_not_semi_hard():
    axes = torch.eye(4, dtype=torch.float64)
    emb = torch.stack([axes[0], axes[1], axes[2], -axes[0]])  # from 0: 1.41, 1.41, 2
    label = torch.tensor([0, 0, 1, 2])
    term = losses.build("triplet", embedding=D, classes=4, mining="semi_hard", margin=1.0)
    # anchor 0 has the one at 2 inside its margin; anchor 1 has only ties, so the nearest of all
    expected = ((math.sqrt(2) - 2 + 1) + 1) / 2
    assert term(emb, label).item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("mining", MINING)
def test_distances_of_exactly_zero(mining):
    """Axes are unit vectors without rounding: 2 - 2 cos is 0, where the root has no slope."""
    emb = torch.eye(4)[[0, 0, 1, 1, 0]].requires_grad_()
    term = losses.build("triplet", embedding=D, classes=4, mining=mining)
    loss = term(emb, torch.tensor([0, 0, 1, 1, 1]))
    loss.backward()
    assert loss.isfinite() and emb.grad.isfinite().all()


def test_duplicates_do_not_explode():
    """The slope of the root is infinite at 0: twins must not get gradients of thousands."""
    term = losses.build("triplet", embedding=D, classes=4)
    x = torch.randn(2, D)
    emb = x.repeat_interleave(2, dim=0).requires_grad_()
    term(emb, torch.tensor([0, 0, 1, 1])).backward()
    assert emb.grad.abs().max() < 10
