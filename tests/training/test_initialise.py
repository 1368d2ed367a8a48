"""What a later stage's loss terms take from their parent's."""

from types import SimpleNamespace

import pytest
import torch

from starter.losses import ClassHead, dominant
from starter.recipe.schema import Recipe
from starter.runs.records import Contract, Term
from starter.training.build import build_learner
from starter.training.initialise import start_from
from tests.runs import made

CLASSES = tuple("abcd")
COUNTS = torch.tensor([3, 9, 27, 81])


def learner(loss, seed):
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "seed": seed,
            "data": {"root": "x", "image_size": 16},
            "model": {"backbone": "resnet10_small", "embedding": 16},
            "train": {"batch_size": 4},
            "stages": {"one": {"loss": loss, "sampler": {"kind": "pk", "images": 2}}},
        }
    )
    return build_learner(recipe, "one", len(CLASSES), 16, COUNTS), recipe


def begin(parent_loss, loss, train=True):
    """(parent, child, names of new terms): the child started from the parent's checkpoint."""
    parent, recipe = learner(parent_loss, 0)
    if train:
        torch.manual_seed(5)
        for _ in range(3):
            parent.objective(torch.randn(8, 16), torch.arange(8) % 4)
    heads = {name: isinstance(term, ClassHead) for name, term in parent.objective.terms.items()}
    terms = {
        name: Term(cosine=head and parent.objective.terms[name].cosine, classes=head)
        for name, head in heads.items()
    }
    contract = Contract(**parent.embedder.preprocessing.to_dict())
    known = {"classes": CLASSES, "terms": terms, "recipe": recipe, "preprocessing": contract}
    meta = made.meta("one").model_copy(update=known)
    saved = {name: value.clone() for name, value in parent.state_dict().items()}
    checkpoint = SimpleNamespace(weights=lambda: saved, meta=meta, step=3, folder="parent")
    child, _ = learner(loss, 1)
    return parent.objective.terms, child.objective.terms, start_from(child, checkpoint, CLASSES)


@pytest.mark.parametrize("kind", ["arcface", "cosface", "normface", "curricularface", "uniface"])
def test_one_centre_of_several(kind):
    parent, child, new = begin([{"kind": "subcenter", "centers": 2}], [{"kind": kind}])
    assert new == []
    expected = dominant(parent["subcenter"].weight, parent["subcenter"].wins_KC)
    assert torch.equal(child[kind].weight, expected)


def test_several_centres_stay_several():
    loss = [{"kind": "subcenter", "centers": 2}]
    parent, child, new = begin(loss, loss)
    assert new == []
    for name, value in parent["subcenter"].state_dict().items():
        assert torch.equal(child["subcenter"].state_dict()[name], value)
    _, _, new = begin(loss, [{"kind": "subcenter", "centers": 3}])
    assert new == ["subcenter"]
    _, _, new = begin([{"kind": "arcface"}], loss)
    assert new == ["subcenter"]


def test_margins_of_classes_are_the_childs_own():
    parent, child, new = begin(
        [{"kind": "arcface", "class_margins": {"most": 0.9}}],
        [{"kind": "arcface", "class_margins": {"most": 0.3}}],
    )
    assert new == []
    assert torch.equal(parent["arcface"].weight, child["arcface"].weight)
    assert child["arcface"].margin_K.max() == pytest.approx(0.3)
    assert parent["arcface"].margin_K.max() == pytest.approx(0.9)


def test_state_goes_to_the_same_kind_alone():
    parent, child, _ = begin([{"kind": "adacos"}], [{"kind": "normface", "learn_scale": True}])
    assert torch.equal(parent["adacos"].weight, child["normface"].weight)
    assert child["normface"].scale.item() == 16.0
    parent, child, _ = begin([{"kind": "adaface"}], [{"kind": "adaface", "margin": 0.2}])
    assert child["adaface"].mean == parent["adaface"].mean != 20.0


def test_centres_of_the_centre_loss_go_on():
    loss = [{"kind": "softmax"}, {"kind": "center"}]
    parent, child, new = begin(loss, loss)
    assert new == []
    assert parent["center"].center_KD.abs().sum() > 0
    assert torch.equal(parent["center"].center_KD, child["center"].center_KD)


def test_kinds_of_like_names_are_not_mixed_up():
    _, _, new = begin([{"kind": "softmax"}], [{"kind": "modified_softmax"}], train=False)
    assert new == ["modified_softmax"]
    _, _, new = begin([{"kind": "arcface"}, {"kind": "arcface"}], [{"kind": "arcface"}])
    assert new == []
