"""The weighted sum, its names, and building from recipe sections."""

import pytest
import torch

from starter import losses
from starter.errors import UserError
from starter.losses import LOSSES, Objective, build_objective, options_of
from starter.recipe.schema import LossTerm

D, K = 6, 4


def batch():
    torch.manual_seed(0)
    return torch.randn(8, D), torch.arange(8) % K


def test_sum_names_and_classifier():
    triplet = losses.build("triplet", embedding=D, classes=K)
    arc = losses.build("arcface", embedding=D, classes=K, margin_warmup=0.5)
    soft = losses.build("softmax", embedding=D, classes=K)
    twin = losses.build("triplet", embedding=D, classes=K, mining="semi_hard")
    kinds = ("triplet", "arcface", "softmax", "triplet")
    modules = (triplet, arc, soft, twin)
    objective = Objective(list(zip(kinds, (0.3, 1.0, 0.5, 2.0), modules, strict=True)))
    emb, label = batch()
    emb.requires_grad_()
    total, parts = objective(emb, label, 0.1)
    assert list(parts) == ["triplet", "arcface", "softmax", "triplet_2"]
    each = [triplet(emb, label), arc(emb, label, 0.1), soft(emb, label), twin(emb, label)]
    for part, loss in zip(parts.values(), each, strict=True):
        assert part.item() == loss.item() and not part.requires_grad
    expected = 0.3 * each[0] + each[1] + 0.5 * each[2] + 2.0 * each[3]
    torch.testing.assert_close(total, expected)
    assert objective.classifier is arc
    total.backward()
    assert all(p.grad is not None for p in objective.parameters())
    assert {name.split(".")[1] for name in objective.state_dict()} == {"arcface", "softmax"}


def test_no_classifier():
    objective = Objective([("triplet", 1.0, losses.build("triplet", embedding=D, classes=K))])
    assert objective.classifier is None
    assert not list(objective.parameters())


def test_build_objective_is_the_sections():
    sections = [
        LossTerm(kind="arcface", scale=24.0, gradient="detached", margin_warmup=0.1),
        LossTerm(kind="triplet", weight=0.3, margin="soft"),
    ]
    objective = build_objective(sections, embedding=D, classes=K)
    arc = objective.terms["arcface"]
    assert (arc.scale, arc.gradient, arc.margin_warmup) == (24.0, "detached", 0.1)
    assert arc.margin == 0.5
    assert objective.weights == {"arcface": 1.0, "triplet": 0.3}
    assert objective.terms["triplet"].margin == "soft"
    assert arc.weight.shape == (K, D)


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_of_the_schema_builds_with_its_defaults(kind):
    term = losses.build(kind, embedding=D, classes=K, class_count_K=torch.ones(K))
    emb, label = batch()
    assert term(emb, label).isfinite()
    for name, field in options_of(LOSSES[kind]).model_fields.items():
        assert getattr(term, name) == field.default


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("arcfase", {}, "arcfase"),
        ("arcface", {"margins": 0.5}, "margins"),
        ("arcface", {"margin": 3.0}, "margin"),
        ("arcface", {"weight": 3.0}, "weight"),
        ("arcface", {"label_smoothing": 0.1}, "label_smoothing"),
        ("triplet", {"mining": "hard"}, "mining"),
    ],
)
def test_mistakes_are_named(kind, options, words):
    with pytest.raises(UserError, match=words):
        losses.build(kind, embedding=D, classes=K, **options)
