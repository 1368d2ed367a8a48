"""What a stage says of its losses, and what it says when they are not what they should be."""

import logging

import pytest
import torch

from starter.hooks.loss_watch import LossWatch
from starter.losses import build_objective
from starter.recipe.schema.losses import LOSSES

D, K = 64, 200


def watch(*terms, started=False, classes=K):
    torch.manual_seed(0)
    sections = [LOSSES[term["kind"]](**term) for term in terms]
    objective = build_objective(sections, embedding=D, classes=classes)
    return objective, LossWatch(objective, started=started)


def first_losses(objective, emb_BD=None, label_B=None):
    torch.manual_seed(1)
    emb_BD = torch.randn(64, D) if emb_BD is None else emb_BD
    label_B = torch.randint(K, (64,)) if label_B is None else label_B
    return {name: part.item() for name, part in objective(emb_BD, label_B, 0.0)[1].items()}


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO)
    return lambda level=logging.WARNING: [
        r.getMessage() for r in caplog.records if r.levelno >= level
    ]


@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_a_sound_start_is_without_a_warning(kind, told):
    objective, watching = watch({"kind": kind})
    watching.announce("one")
    watching.first(first_losses(objective))
    watching.epoch({kind: 0.5 * first_losses(objective)[kind] + 1e-3}, 0.1)
    assert told() == []


def test_the_start_is_announced(told):
    _, watching = watch({"kind": "arcface"}, {"kind": "triplet"})
    watching.announce("one")
    lines = told(logging.INFO)
    # ln 200 + 32^2 / 128 + 32 sin 0.5, less where few logits make up the sum
    assert lines[0].startswith("one: arcface should begin at about 26.")
    assert lines[1].startswith("arcface: scale 32; the smallest useful one is 11.")
    assert len(lines) == 2


def test_a_scale_that_is_too_small_is_told(told):
    watch({"kind": "arcface", "scale": 5.0})[1].announce("one")
    watch({"kind": "cosface", "margin": 1.5})[1].announce("one")
    small, hopeless = told()
    assert "scale 5 is below" in small and "scale: auto" in small
    assert "with this margin no scale can" in hopeless


def test_a_first_loss_far_off_is_told(told):
    objective, watching = watch({"kind": "softmax"})
    watching.first(first_losses(objective, emb_BD=30 * torch.randn(64, D)))
    assert "softmax began at" in told()[0] and "BatchNorm" in told()[0]


def test_an_easy_start_is_told_unless_it_comes_from_a_parent(told):
    objective, watching = watch({"kind": "normface", "scale": 32.0})
    weight = objective.terms["normface"].weight.detach()
    losses = first_losses(objective, weight[:64], torch.arange(64))
    LossWatch(objective, started=True).first(losses)
    assert told() == []
    watching.first(losses)
    assert "embeddings already tell the classes apart" in told()[0]


def test_a_loss_that_does_not_fall_is_told_once(told):
    objective, watching = watch({"kind": "arcface"})
    losses = first_losses(objective)
    watching.epoch({"arcface": 1.1 * losses["arcface"]}, 0.1)
    watching.epoch({"arcface": 1.1 * losses["arcface"]}, 0.2)
    assert len(told()) == 1 and "margin_warmup: 0.3" in told()[0]


def test_a_margin_that_is_still_growing_may_raise_the_loss(told):
    objective, watching = watch({"kind": "arcface", "margin_warmup": 0.5})
    losses = first_losses(objective)
    watching.epoch({"arcface": 1.5 * losses["arcface"]}, 0.3)
    assert told() == []


def test_annealing_may_raise_the_loss(told):
    objective, watching = watch({"kind": "sphereface", "scale": 16.0})
    losses = first_losses(objective)
    term = objective.terms["sphereface"]
    term.updates += 100_000
    annealed = first_losses(objective)
    assert annealed["sphereface"] > 1.05 * losses["sphereface"]
    watching.epoch({"sphereface": 0.95 * annealed["sphereface"]}, 0.3)
    assert told() == []
    watching.epoch(annealed, 0.4)
    assert "has not fallen" in told()[0]


def test_collapse_is_told(told):
    _, watching = watch({"kind": "triplet"}, started=True)
    watching.epoch({"triplet": 0.3001}, 0.1)
    assert "all embeddings have become one" in told()[0]
