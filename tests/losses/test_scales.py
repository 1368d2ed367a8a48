"""How large a scale must be, and the table of losses."""

import json
import math
import sys

import pytest
import torch

from starter import losses
from starter.errors import UserError
from starter.losses import LOSSES, margins, options_of
from starter.losses.__main__ import main

AUTO = sorted(
    kind
    for kind, loss in LOSSES.items()
    if "auto" in str(options_of(loss).model_fields.get("scale"))
)


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
    assert margins.smallest_scale(classes, posterior=0.90) == pytest.approx(at_90, abs=0.006)
    assert margins.smallest_scale(classes) == pytest.approx(at_99, abs=0.006)
    assert margins.adacos_scale(classes) == pytest.approx(adacos, abs=0.006)


@pytest.mark.parametrize("kind", ["normface", "cosface", "arcface", "combined"])
def test_the_smallest_scale_just_reaches_its_posterior(kind):
    """Of embeddings on their own of K centres spread as evenly as can be."""
    classes = 7
    torch.manual_seed(0)
    term = losses.build(kind, embedding=classes, classes=classes, scale="auto").double()
    least = margins.smallest_scale(classes, term.reach())
    assert term.scale == max(least, margins.adacos_scale(classes))
    term.scale = least
    centres = torch.eye(classes, dtype=torch.float64) - 1 / classes
    term.weight.data = centres
    loss = term(centres, torch.arange(classes))
    assert math.exp(-loss.item()) == pytest.approx(0.99, abs=1e-4)


@pytest.mark.parametrize("kind", AUTO)
@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_auto_is_a_number(kind, classes):
    term = losses.build(kind, embedding=8, classes=classes, scale="auto")
    assert 0 < term.scale < 40
    assert term(torch.randn(4, 8), torch.arange(4) % classes).isfinite()


def test_auto_refuses_a_margin_that_no_scale_can_serve():
    with pytest.raises(UserError, match="no scale is enough"):
        losses.build("cosface", embedding=8, classes=10, scale="auto", margin=1.5)


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
