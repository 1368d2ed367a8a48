"""How large a scale must be, what a first loss is, and what is said when it is another."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from starter import losses
from starter.errors import UserError
from starter.losses import advice, scales
from starter.losses.__main__ import main
from starter.losses.heads import ClassHead
from starter.recipe.schema import LOSSES
from starter.recipe.schema.losses import PAIR_KINDS

HEADS = sorted(set(LOSSES) - PAIR_KINDS - {"center", "proxy_anchor"})


@pytest.mark.parametrize(
    ("classes", "at_90", "at_99", "adacos"),
    [
        (100, 6.72, 9.10, 6.50),
        (1000, 9.09, 11.49, 9.77),
        (8631, 11.26, 13.66, 12.82),
        (85742, 13.56, 15.95, 16.06),
    ],
)
def test_published_bounds(classes, at_90, at_99, adacos):
    """losses.md F.4: s >= (K-1)/K ln((K-1) p / (1-p)), and sqrt(2) ln(K - 1)."""
    assert scales.smallest(classes, posterior=0.90) == pytest.approx(at_90, abs=0.006)
    assert scales.smallest(classes) == pytest.approx(at_99, abs=0.006)
    assert scales.adacos(classes) == pytest.approx(adacos, abs=0.006)


@pytest.mark.parametrize("kind", ["normface", "cosface", "arcface", "combined"])
def test_the_smallest_scale_just_reaches_its_posterior(kind):
    """Of embeddings on their own of K centres spread as evenly as can be."""
    classes = 7
    torch.manual_seed(0)
    term = losses.build(kind, embedding=classes, classes=classes, scale="auto").double()
    least = scales.smallest(classes, term.reach())
    assert term.scale == max(least, scales.adacos(classes))
    term.scale = least
    centres = torch.eye(classes, dtype=torch.float64) - 1 / classes
    term.weight.data = centres
    loss = term(centres, torch.arange(classes))
    assert math.exp(-loss.item()) == pytest.approx(0.99, abs=1e-4)


@pytest.mark.parametrize("kind", sorted(k for k in HEADS if "scale" in LOSSES[k].model_fields))
@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_auto_is_a_number(kind, classes):
    term = losses.build(kind, embedding=8, classes=classes, scale="auto")
    assert 0 < term.scale_now() < 40
    assert term(torch.randn(4, 8), torch.arange(4) % classes).isfinite()


def test_auto_refuses_a_margin_that_no_scale_can_serve():
    with pytest.raises(UserError, match="no scale is enough"):
        losses.build("cosface", embedding=8, classes=10, scale="auto", margin=1.5)


@pytest.mark.parametrize("dim", [2, 3, 16, 300])
def test_cosines_of_random_directions(dim):
    cos_M, weight_M = scales.cosines(dim)
    assert weight_M.sum() == pytest.approx(1)
    assert (weight_M * cos_M).sum() == pytest.approx(0, abs=1e-9)
    assert (weight_M * cos_M**2).sum() == pytest.approx(1 / dim, rel=1e-3)
    torch.manual_seed(0)
    unit = torch.nn.functional.normalize(torch.randn(3, 20_000, dim), dim=2)[..., 0]
    cos_M, weight_M = scales.cosines(dim, of=3)
    drawn = unit.amax(0).mean().item()
    assert (weight_M * cos_M).sum() == pytest.approx(drawn, abs=0.01)


def test_log_sum_of_a_few_logits_is_its_mean():
    rng = np.random.default_rng(0)
    node_M, weight_M = np.array([-3.0, 0.5, 20.0]), np.array([0.5, 0.3, 0.2])
    drawn = rng.choice(node_M, p=weight_M, size=(200_000, 4))
    expected = np.log(np.exp(drawn).sum(1)).mean()
    assert scales.log_sum(4, node_M, weight_M) == pytest.approx(expected, abs=0.06)
    drawn[:, 0] = 7.0
    expected = np.log(np.exp(drawn).sum(1)).mean()
    assert scales.log_sum(4, node_M, weight_M, 7.0) == pytest.approx(expected, abs=0.06)
    assert scales.log_sum(1, node_M, weight_M, 7.0) == pytest.approx(7.0)
    assert scales.log_sum(9, np.array([2.0]), np.array([1.0])) == pytest.approx(2 + math.log(9))


@pytest.mark.parametrize(
    ("classes", "dim", "within"), [(1000, 256, 0.02), (10, 64, 0.06), (40, 2, 0.06)]
)
@pytest.mark.parametrize("kind", HEADS)
def test_expected_first_loss(kind, classes, dim, within):
    """Of a fresh head and embeddings without order, sqrt(D) long as BatchNorm leaves them."""
    for warmup in (0.0, 0.5):
        options = {"margin_warmup": warmup} if "margin_warmup" in LOSSES[kind].model_fields else {}
        found, expected = [], []
        for seed in range(1 if classes == 1000 else 4):
            torch.manual_seed(seed)
            term = losses.build(kind, embedding=dim, classes=classes, **options)
            expected.append(term.expected_loss(0.0))
            emb = torch.nn.functional.normalize(torch.randn(512, dim), dim=1) * math.sqrt(dim)
            found.append(term(emb, torch.randint(classes, (512,)), 0.0).item())
        assert np.mean(found) == pytest.approx(np.mean(expected), rel=within)


def test_what_cannot_be_said_is_not():
    assert losses.build("proxy_anchor", embedding=4, classes=3).expected_loss() is None
    assert ClassHead().expected_loss() is None


def test_collapse_is_where_the_triplet_loss_of_equal_embeddings_lies():
    same = torch.ones(4, 6)
    label = torch.tensor([0, 0, 1, 1])
    for mining in ("batch_all", "batch_hard", "semi_hard"):
        for margin in (0.3, "soft"):
            term = losses.build("triplet", embedding=6, classes=2, margin=margin, mining=mining)
            assert advice.collapsed(term, term(same, label).item())
            assert not advice.collapsed(term, 0.8 * term(same, label).item())
    assert not advice.collapsed(losses.build("supcon", embedding=6, classes=2), 0.3)


def test_advice_names_what_can_be_changed():
    arcface = losses.build("arcface", embedding=6, classes=2)
    assert "margin_warmup" in advice.stuck(arcface)
    warm = losses.build("arcface", embedding=6, classes=2, margin_warmup=0.3)
    assert "margin_warmup" not in advice.stuck(warm) and "optimizer.lr" in advice.stuck(warm)
    assert "semi_hard" in advice.stuck(losses.build("triplet", embedding=6, classes=2))
    assert "data.mean" in advice.not_finite(0) and "data.mean" not in advice.not_finite(5)
    softmax = losses.build("softmax", embedding=6, classes=2)
    assert "BatchNorm" in advice.first_loss(softmax, high=True, started=False)
    assert "stage it starts from" in advice.first_loss(softmax, high=True, started=True)
    assert "labels" in advice.first_loss(arcface, high=False, started=False)


def test_the_table_has_every_loss(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["starter.losses", "--json"])
    main()
    rows = {row["kind"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(LOSSES)
    assert rows["arcface"]["defaults"]["margin"] == 0.5
    assert rows["subcenter"]["parameters"] == {"weight": "(K, C, D)"}
    assert rows["center"]["buffers"] == {"center_KD": "(K, D)"}
    assert all(row["formula"] and row["paper"] for row in rows.values())


def test_the_table_as_text(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["starter.losses"])
    main()
    text = capsys.readouterr().out
    assert all(kind in text for kind in LOSSES)
    assert max(map(len, text.splitlines())) <= 150
