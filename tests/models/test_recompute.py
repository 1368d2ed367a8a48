"""Gradient checkpointing changes what is kept, and nothing of what comes out."""

import copy

import pytest
import torch

from starter import models
from starter.errors import UserError
from starter.models.registry import NETWORKS

SMALLEST = {family.__name__: name for name, (family, _) in reversed(NETWORKS.items())}
SMALLEST |= {"Plain": "cnn5", "ResNet": "resnet10_small", "MobileNetV2": "mobilenetv2_035"}


def pair(name, **options):
    torch.manual_seed(0)
    plain = models.build(name, in_channels=3, image_size=32, embedding=8, **options)
    again = copy.deepcopy(plain)
    again.recompute_stages()
    return plain, again


def step(embedder):
    """A training pass, its random numbers too: (embedding, weights and statistics, gradients)."""
    torch.manual_seed(1)
    image_BCHW = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    emb_BD = embedder(image_BCHW)
    emb_BD.square().sum().backward()
    return emb_BD, embedder.state_dict(), [p.grad for p in embedder.parameters()]


@pytest.mark.parametrize("family", SMALLEST)
def test_embedding_gradients_and_statistics_are_the_same_bit_for_bit(family):
    drop = {} if family == "Plain" else {"drop_path": 0.5}
    plain, again = pair(SMALLEST[family], **drop)
    for wanted, found in zip(step(plain.train()), step(again.train()), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_frozen_batchnorm_stays_frozen_and_a_copy_runs_its_own_weights():
    plain, again = pair("resnet10_small")
    for embedder in (plain.train(), again.train()):
        for module in embedder.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
    for wanted, found in zip(step(plain), step(again), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    twin = copy.deepcopy(again.train())
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert not step(again)[0].equal(step(twin)[0])


def test_less_is_kept_for_the_backward_pass():
    plain, again = pair("resnet18_small")
    kept = []
    for embedder in (plain.train(), again.train()):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x
        ):
            embedder(torch.randn(4, 3, 32, 32))
        kept.append(sum(sizes))
    assert kept[1] < 0.6 * kept[0], kept


@pytest.mark.parametrize("name", ["timm/resnet18", "own"])
def test_networks_whose_stages_are_not_known_are_refused(name, tmp_path):
    if name == "own":
        path = tmp_path / "net.py"
        path.write_text(
            "import torch\nclass Net(torch.nn.Conv2d):\n"
            "    def __init__(self, in_channels): super().__init__(in_channels, 4, 3)\n"
        )
        name = f"{path}:Net"
    embedder = models.build(name, in_channels=3, image_size=32, embedding=8)
    with pytest.raises(UserError, match="only the kit's own backbones"):
        embedder.recompute_stages()
