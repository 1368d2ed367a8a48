"""A user's own network: path/to/net.py:Class."""

import pytest
import torch

from starter import models
from starter.errors import UserError
from starter.models.cost import Shape, cost
from starter.recipe import own
from starter.recipe.schema import Recipe, RulesSection
from starter.stages.run import hash_of, inputs_of
from starter.training.build import build_learner
from starter.training.learner import AveragedWeights

NET = """
from torch import nn

class Map(nn.Module):
    def __init__(self, in_channels, drop_path=0.0):
        super().__init__()
        self.rate = drop_path
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(),
        )

    def forward(self, x):
        return self.layers(x)

class Features(Map):
    def forward(self, x):
        return self.layers(x).amax((2, 3))

class Attending(Map):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.attention = nn.MultiheadAttention(8, 2)

class Wrong(Map):
    def forward(self, x):
        return self.layers(x).mean()

class Breaks(Map):
    def forward(self, x):
        return self.layers(x).view(3, 5)
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def make(spec, channels=3, size=32, **options):
    torch.manual_seed(0)
    return models.build(str(spec), in_channels=channels, image_size=size, embedding=16, **options)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "pool", "features"),
    [("Map", "auto", 12), ("Map", "gem", 12), ("Map", "flatten", 768), ("Features", "auto", 12)],
)
def test_a_map_is_pooled_and_features_are_kept(net, name, pool, features, channels):
    embedder = make(f"{net}:{name}", channels, pool=pool).train()
    assert embedder.backbone.num_features == features
    image = torch.rand(4, channels, 32, 32)
    with torch.no_grad():
        found = embedder.backbone(image)
        plain = embedder.backbone.net.layers(image)
    expected = {
        "Map-auto": lambda: plain.mean((2, 3)),
        "Map-gem": lambda: plain.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3),
        "Map-flatten": lambda: plain.flatten(1),
        "Features-auto": lambda: plain.amax((2, 3)),
    }[f"{name}-{pool}"]()
    torch.testing.assert_close(found, expected)
    emb = embedder(image)
    (emb * torch.randn(emb.shape)).sum().backward()
    for path, parameter in embedder.named_parameters():
        assert parameter.grad is not None, path


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("Wrong", {}, r"has to give a map"),
        ("Breaks", {}, r"RuntimeError.*\(line 31 of .*net.py\)"),
        ("Attending", {"drop_path": 0.1}, "model.drop_path: 0.1 is no argument"),
        ("Map", {"stem": "3x3/1"}, "model.stem"),
        ("Features", {"pool": "gem"}, "gives features"),
        ("Map", {"pretrained": True}, "model.init_from takes a file"),
    ],
)
def test_mistakes_are_told(net, name, options, words):
    with pytest.raises(UserError, match=words):
        make(f"{net}:{name}", **options)


def test_options_reach_it_and_rules_hold(net):
    assert make(f"{net}:Map", drop_path=0.2).backbone.net.rate == 0.2
    models.check_rules(make(f"{net}:Map"), [], RulesSection(cnn_only=True, from_scratch=True))
    with pytest.raises(UserError, match="MultiheadAttention"):
        models.check_rules(make(f"{net}:Attending"), [], RulesSection(cnn_only=True))
    found = cost(f"{net}:Map", Shape(32, embedding=16, classes=10))
    assert found.parameters == models.count_parameters([make(f"{net}:Map")])
    assert found.with_classes == found.parameters + 160 and found.cnn_only


def recipe(spec, **model) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "r",
            "data": {"root": "x", "image_size": 32},
            "model": {"backbone": str(spec), "embedding": 16, **model},
            "stages": {"one": {"loss": [{"kind": "softmax"}]}},
        }
    )


def hashed(chosen) -> str:
    return hash_of(inputs_of(chosen, "one", "data", None))


def test_a_stage_is_known_by_the_file_s_contents_not_its_place(net, tmp_path):
    first = hashed(recipe(f"{net}:Map"))
    moved = tmp_path / "elsewhere" / "other.py"
    moved.parent.mkdir()
    moved.write_text(NET)
    assert hashed(recipe(f"{moved}:Map")) == first
    assert hashed(recipe(f"{net}:Features")) != first
    net.write_text(NET.replace("12", "13"))
    assert hashed(recipe(f"{net}:Map")) != first
    assert make(f"{net}:Map").backbone.num_features == 13  # and the new text is what is built


def test_its_weights_are_saved_and_averaged_like_any_other_s(net, tmp_path):
    from safetensors.torch import load_file, save_file

    learner = build_learner(recipe(f"{net}:Map"), "one", 4, 32)
    state = {k: v.contiguous() for k, v in learner.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    other = build_learner(recipe(f"{net}:Map"), "one", 4, 32)
    other.load_state_dict(load_file(tmp_path / "w.safetensors"))
    AveragedWeights(learner, 0.9).update(learner, 0)


def test_every_key_of_the_network_counts(net):
    value = inputs_of(recipe("resnet18"), "one", "data", None)
    known = set(type(recipe("resnet18").model).model_fields)
    assert set(value["model"]) == known - {"init_from"}  # that counts by the file's contents
    assert "network" not in value
    assert hashed(recipe("resnet18", pool="gem")) != hashed(recipe("resnet18"))


def test_an_edited_network_is_refused(net):
    value = recipe(f"{net}:Map")
    known = inputs_of(value, "one", "data", None)
    own.refuse_other_text(value.model_dump(), known, "runs/r/one")
    net.write_text(NET + "# edited")
    with pytest.raises(UserError, match="another text"):
        own.refuse_other_text(value.model_dump(), known, "runs/r/one")
