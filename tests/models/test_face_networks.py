"""iResNet, MobileFaceNet and the plain networks, which timm lacks, against the layers written out.

Float64, random weights and statistics; the expected map is made from the state dict by functions.
"""

import pytest
import torch
from torch.nn import functional as F

from starter import models
from starter.models import registry
from starter.models.layers import Regularise
from tests.models.networks import images, randomised


def made(name, stem):
    keys = Regularise()
    return randomised(
        lambda: registry.build_family(name, in_channels=3, stem=stem, regularise=keys)
    ).double()


class Layers:
    """A network's weights by name, and the layers they belong to."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name, stride=1, padding=None, groups=1):
        weight = self.state[f"{name}.weight"]
        padding = weight.shape[-1] // 2 if padding is None else padding
        return F.conv2d(x, weight, None, stride, padding, 1, groups)

    def norm(self, x, name):
        mean, variance, scale, shift = (
            self.state[f"{name}.{k}"][:, None, None]
            for k in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def prelu(self, x, name):
        slope = self.state[f"{name}.weight"][:, None, None]
        assert len(slope) == x.shape[1]  # one of each channel
        return torch.where(x > 0, x, slope * x)

    def conv_norm_prelu(self, x, name, stride=1, groups=1):
        return self.prelu(
            self.norm(self.conv(x, f"{name}.0", stride, None, groups), f"{name}.1"), f"{name}.2"
        )


@pytest.mark.parametrize(("name", "depths"), [("iresnet18", (2, 2, 2, 2))])
def test_iresnet_is_its_published_layers(name, depths):
    """Duta et al. 2020, figure 1d, with ArcFace's stem: BN-conv-BN-PReLU-conv-BN, bare sums."""
    network = made(name, "3x3/1").eval()
    layers = Layers(network.state_dict())
    image = images(2, size=24).double()
    x = layers.prelu(layers.norm(layers.conv(image, "conv1"), "bn1"), "prelu")
    for stage, depth in enumerate(depths, start=1):
        for i in range(depth):
            at, stride = f"layer{stage}.{i}", 2 if i == 0 else 1
            y = layers.conv(layers.norm(x, f"{at}.bn1"), f"{at}.conv1")
            y = layers.prelu(layers.norm(y, f"{at}.bn2"), f"{at}.prelu")
            y = layers.norm(layers.conv(y, f"{at}.conv2", stride), f"{at}.bn3")
            if i == 0:
                x = layers.conv(x, f"{at}.downsample.0", stride)
                x = layers.norm(x, f"{at}.downsample.1")
            x = y + x
    expected = layers.norm(x, "bn2")
    with torch.no_grad():
        torch.testing.assert_close(network.features(image), expected, atol=1e-9, rtol=1e-9)


def test_mobilefacenet_is_its_published_layers():
    """Chen et al. 2018, table 1: expansion t, channels c, n blocks, stride s of the first."""
    network = made("mobilefacenet", "3x3/2").eval()
    layers = Layers(network.state_dict())
    image = images(2, size=48).double()
    x = layers.prelu(layers.norm(layers.conv(image, "conv_stem", 2), "bn_stem"), "act_stem")
    x = layers.conv_norm_prelu(x, "depthwise", groups=64)
    table = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
    number = 0
    for t, c, n, s in table:
        for i in range(n):
            at, stride = f"blocks.{number}", s if i == 0 else 1
            y = layers.conv_norm_prelu(x, f"{at}.expand")
            assert y.shape[1] == t * x.shape[1]
            y = layers.conv_norm_prelu(y, f"{at}.depthwise", stride, groups=y.shape[1])
            y = layers.norm(layers.conv(y, f"{at}.project"), f"{at}.bn")
            assert y.shape[1] == c
            x = x + y if stride == 1 and x.shape == y.shape else y
            number += 1
    expected = layers.conv_norm_prelu(x, "head")
    assert f"blocks.{number}.bn.weight" not in layers.state and expected.shape[1] == 512
    with torch.no_grad():
        torch.testing.assert_close(network.features(image), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "stem", "widths", "strides", "pooled"),
    [
        ("cnn5", "3x3/2", (64, 128, 256, 512, 1024), (2, 2, 2, 2, 2), (0,) * 5),
        ("cnn_64_256_64", "3x3/1", (64, 256, 64), (1, 1, 1), (1, 1, 0)),
    ],
)
def test_plain_networks_are_convolution_norm_relu(name, stem, widths, strides, pooled):
    network = made(name, stem).eval()
    layers = Layers(network.state_dict())
    x = image = images(2, size=40).double()
    for i, (width, stride, pool) in enumerate(zip(widths, strides, pooled, strict=True)):
        at = ("conv1", "bn1") if i == 0 else (f"layers.{i - 1}.conv", f"layers.{i - 1}.bn")
        x = layers.norm(layers.conv(x, at[0], stride), at[1]).clamp(min=0)
        assert x.shape[1] == width
        x = F.max_pool2d(x, 2) if pool else x
    with torch.no_grad():
        torch.testing.assert_close(network.features(image), x, atol=1e-9, rtol=1e-9)
    assert models.choose_stem(name, 28) == "3x3/1"
