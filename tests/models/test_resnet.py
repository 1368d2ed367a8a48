"""The ResNets against timm's, and what a stem and stochastic depth promise."""

import pytest
import timm
import torch
from torch import nn

from starter import models
from starter.models.blocks import DropPath
from starter.models.resnet import SETTINGS, STEMS, ResNet, choose_stem


def images(batch=2, channels=3, size=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, size, size, generator=generator)


@pytest.mark.parametrize(("name", "channels"), [("resnet18", 1), ("resnet34", 3), ("resnet50", 3)])
def test_same_network_as_timms(name, channels):
    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=0, in_chans=channels, zero_init_last=False).eval()
    for module in theirs.modules():  # random statistics too: a swapped BatchNorm would show
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.2, 0.8)
    ours = ResNet(SETTINGS[name], in_channels=channels, stem="7x7/2").eval()
    ours.load_state_dict(theirs.state_dict())
    assert models.count_parameters([ours]) == models.count_parameters([theirs])
    with torch.no_grad():
        expected = theirs(images(channels=channels))
        assert expected.abs().mean() > 0.01
        torch.testing.assert_close(ours(images(channels=channels)), expected, atol=1e-5, rtol=1e-5)


def test_names_and_the_small_one():
    assert models.backbone_names() == [
        "resnet10_small", "resnet18_small", "resnet18", "resnet34", "resnet50"
    ]  # fmt: skip
    small = ResNet(SETTINGS["resnet10_small"], in_channels=3, stem="3x3/2")
    assert models.count_parameters([small]) == 1_226_400
    assert small(images(size=32)).shape == (2, 256)


@pytest.mark.parametrize(
    ("size", "stem", "last_map"),
    [(16, "3x3/1", 2), (28, "3x3/2", 2), (32, "3x3/2", 2), (64, "7x7/2", 2), (112, "7x7/2", 4)],
)
def test_auto_stem_keeps_a_map_of_at_least_2x2(size, stem, last_map):
    assert choose_stem(size) == stem
    seen = []
    net = ResNet(SETTINGS["resnet10_small"], in_channels=3, stem=stem)
    net.layer4.register_forward_hook(lambda module, given, result: seen.append(result.shape))
    net(images(size=size))
    assert seen == [(2, 256, last_map, last_map)]


@pytest.mark.parametrize("stem", STEMS)
def test_stem_strides(stem):
    net = ResNet(SETTINGS["resnet10_small"], in_channels=3, stem=stem)
    after_stem = net.maxpool(net.conv1(images(size=32)))
    assert after_stem.shape[-1] == {"7x7/2": 8, "3x3/2": 16, "3x3/1": 32}[stem]


def test_blocks_start_as_the_identity():
    net = ResNet(SETTINGS["resnet18"], in_channels=3, stem="3x3/2").eval()
    x = torch.rand(2, 64, 8, 8)  # positive: the last ReLU changes nothing
    torch.testing.assert_close(net.layer1(x), x)
    conv = net.layer2[0].conv1.weight
    assert conv.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)  # fan_out


def test_drop_path_grows_linearly_to_the_last_block():
    net = ResNet(SETTINGS["resnet18"], in_channels=3, stem="3x3/2", drop_path=0.7)
    rates = [m.rate for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.1 * i for i in range(1, 8)])  # the first block has none
    keys = ResNet(SETTINGS["resnet18"], in_channels=3, stem="3x3/2").state_dict().keys()
    assert net.state_dict().keys() == keys


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_drop_path_statistics(dtype):
    torch.manual_seed(0)
    count, rate = 20_000, 0.25
    out = DropPath(rate).train()(torch.ones(count, 2, 3, 1, dtype=dtype))
    assert out.dtype == dtype
    per_image = out.flatten(1)
    assert (per_image == per_image[:, :1]).all()  # whole images
    kept = per_image[:, 0] > 0
    assert (~kept).float().mean().item() == pytest.approx(rate, abs=4 * (0.1875 / count) ** 0.5)
    assert per_image[kept].float().unique().tolist() == pytest.approx([1 / 0.75], rel=4e-3)
    x = torch.rand(5, 3)
    assert DropPath(rate).eval()(x) is x
