"""What `python -m starter.models` says, against plain arithmetic."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from starter import models
from starter.errors import UserError
from starter.models.cost import Shape, cost, listed, speed


@pytest.mark.parametrize("name", ["resnet10_small", "mobilenetv2_035", "timm/resnet10t"])
def test_parameters_and_multiply_adds_by_hand(name):
    found = cost(name, Shape(64, 1, 16, 10))
    embedder = models.build(name, in_channels=1, image_size=64, embedding=16).eval()
    assert found.parameters == sum(p.numel() for p in embedder.parameters())
    assert found.with_classes == found.parameters + 160
    total = 0

    def count(module, given, result):
        nonlocal total
        each = module.weight[0].numel()  # of one output number
        total += result.numel() * each

    for module in embedder.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        embedder(torch.zeros(1, 1, 64, 64))
    assert found.gmac == pytest.approx(total / 1e9, abs=1e-4)


def test_published_multiply_adds():
    """torchvision's and the papers' tables at 224 px, less the classifier."""
    assert cost("resnet50", Shape(224)).gmac == pytest.approx(4.09, abs=0.02)
    assert cost("mobilenetv2_100", Shape(224)).gmac == pytest.approx(0.300, abs=0.01)


def test_rule_marks():
    assert cost("seresnet18", Shape(32)).gates == ["SEModule"]
    assert cost("resnest14d", Shape(32)).gates == ["SplitAttn"]
    assert cost("resnet10_small", Shape(32)).gates == []
    assert not cost("timm/test_vit", Shape(32)).cnn_only


def test_an_unknown_name_suggests_the_nearest():
    assert listed([]) == models.backbone_names()
    with pytest.raises(UserError, match="did you mean 'resnet50'"):
        listed(["resnt50"])


def test_the_command():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "starter.models",
            "resnet10_small",
            "--image-size",
            "32",
            "--channels",
            "1",
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["name"] == "resnet10_small" and found["stem"] == "3x3/2"
    assert found["train"] is None


def test_speed_is_images_a_second():
    shape = Shape(32, 1, 16, 10)
    train, infer = speed(shape.build("resnet10_small"), shape, seconds=0.1)
    assert 0 < train < infer
