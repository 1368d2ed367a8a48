"""What the ResNets promise: their first weights, their stems, stochastic depth."""

import pytest
import torch

from starter import models
from starter.models.layers import DropPath, Regularise
from starter.models.resnet import SETTINGS, ResNet
from tests.models.networks import images


def resnet(name, stem, **keys):
    return ResNet(SETTINGS[name], in_channels=3, stem=stem, regularise=Regularise(**keys))


@pytest.mark.parametrize(
    ("name", "total", "neck"),
    [
        ("resnet10_small", -26.384918553, 4.311172677),
        ("resnet18_small", 25.695099554, -0.899666693),
        ("resnet18", 26.915539653, 1.548908032),
        ("resnet34", -34.205404146, -2.897981657),
        ("resnet50", -20.074466677, 6.879249641),
    ],
)
def test_a_seed_gives_the_weights_it_always_gave(name, total, neck):
    """The shipped recipes' results were measured from these."""
    torch.manual_seed(0)
    embedder = models.build(name, in_channels=3, image_size=64, embedding=16)
    last = embedder.backbone.layer4[-1].conv2.weight.detach().double()
    assert last.sum().item() == pytest.approx(total, rel=1e-5)
    weight = embedder.neck[1].weight.detach().double()
    assert weight.sum().item() == pytest.approx(neck, rel=1e-5)


def test_the_small_one():
    small = resnet("resnet10_small", "3x3/2")
    assert models.count_parameters([small]) == 1_226_400
    assert small(images(size=32)).shape == (2, 256)


@pytest.mark.parametrize(
    ("size", "stem", "last_map"),
    [(16, "3x3/1", 2), (28, "3x3/2", 2), (32, "3x3/2", 2), (64, "7x7/2", 2), (112, "7x7/2", 4)],
)
def test_auto_stem_keeps_a_map_of_at_least_2x2(size, stem, last_map):
    assert models.choose_stem("resnet10_small", size) == stem
    seen = []
    net = resnet("resnet10_small", stem)
    net.layer4.register_forward_hook(lambda module, given, result: seen.append(result.shape))
    net(images(size=size))
    assert seen == [(2, 256, last_map, last_map)]


@pytest.mark.parametrize("stem", ["7x7/2", "3x3/2", "3x3/1"])
def test_stem_strides(stem):
    net = resnet("resnet10_small", stem)
    after_stem = net.maxpool(net.conv1(images(size=32)))
    assert after_stem.shape[-1] == {"7x7/2": 8, "3x3/2": 16, "3x3/1": 32}[stem]


def test_blocks_start_as_the_identity():
    net = resnet("resnet18", "3x3/2").eval()
    x = torch.rand(2, 64, 8, 8)  # positive: the last ReLU changes nothing
    torch.testing.assert_close(net.layer1(x), x)
    conv = net.layer2[0].conv1.weight
    assert conv.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)  # fan_out


def test_drop_path_grows_linearly_to_the_last_block():
    net = resnet("resnet18", "3x3/2", drop_path=0.7)
    rates = [m.rate for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.1 * i for i in range(1, 8)])  # the first block has none
    keys = resnet("resnet18", "3x3/2").state_dict().keys()
    assert net.state_dict().keys() == keys
