"""Every family against timm's network of the same name, and what all of them promise."""

import os

import pytest
import timm
import torch

from benchmarks.backbones import SMALLEST
from starter import models
from starter.errors import UserError
from starter.models import registry
from starter.models.blocks import Backbone
from starter.models.external import adapt
from starter.models.layers import STEMS, DropPath, Regularise
from tests.models.networks import images, on_meta, timms, wake

# The kit's own names, of which timm has no network.
OWN = (
    "resnet10_small",
    "resnet18_small",
    "cnn5",
    "cnn_64_256_64",
    "mobilefacenet",
    "iresnet18",
    "iresnet34",
    "iresnet50",
    "iresnet100",
    "iresnet_30m",
    "convnext_30m",
)
TIMMS = [name for name in models.backbone_names() if name not in OWN]
OF_EACH_FAMILY = (
    "resnet18",
    "resnet18d",
    "resnext50_32x4d",
    "seresnet18",
    "mobilenetv2_035",
    "convnext_atto",
    "efficientnet_b0",
    "regnetx_002",
    "regnety_002",
    "resnest14d",
    "nf_resnet26",
)
# STARTER_EVERY_SIZE=1 compares the large ones at their published size too, which takes minutes.
AT_PUBLISHED = TIMMS if os.environ.get("STARTER_EVERY_SIZE") else OF_EACH_FAMILY


def published_stem(name: str) -> str:
    network, setting = registry.NETWORKS[name]
    return getattr(setting, "stems", network.STEMS_BY_COST)[0]


def make(name, channels=3, stem=None, **keys) -> Backbone:
    return registry.build_family(
        name, in_channels=channels, stem=stem or published_stem(name), regularise=Regularise(**keys)
    )


def assert_same_network(name, channels, size):
    theirs = timms(name, channels)
    ours = on_meta(lambda: make(name, channels))
    ours.load_state_dict(adapt(theirs.state_dict(), ours.state_dict()), assign=True)
    image = images(channels=channels, size=size)
    with torch.no_grad():
        for mode in (False, True):
            expected, found = theirs.train(mode)(image), ours.train(mode)(image)
            assert 0.01 < expected.abs().mean() < 100
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    mine, original = ours.state_dict(), theirs.state_dict()
    for key in original:  # BatchNorm statistics too, which training moved
        torch.testing.assert_close(mine[key].flatten(), original[key].flatten())


@pytest.mark.parametrize("name", TIMMS)
def test_same_network_as_timms_at_a_small_size(name):
    """Every parameter and buffer is timm's, by name; both modes give the same features."""
    assert timm.is_model(name)
    assert_same_network(name, 3, 64)


@pytest.mark.parametrize("name", AT_PUBLISHED)
def test_same_network_as_timms_at_the_published_size(name):
    assert_same_network(name, 1, timm.get_pretrained_cfg_value(name, "input_size")[-1])


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("pool", ["auto", "flatten"])
def test_the_smallest_of_each_family_takes_a_height_and_a_width(name, pool):
    embedder = models.build(name, in_channels=3, image_size=(96, 48), embedding=8, pool=pool).eval()
    assert embedder.preprocessing.shape == (96, 48, 3)
    image_BHWC = torch.zeros(2, 96, 48, 3, dtype=torch.uint8)
    assert embedder(embedder.prepare(image_BHWC)).shape == (2, 8)
    with pytest.raises(UserError, match=r"pack them at data.image_size \[96, 48\]"):
        embedder.prepare(image_BHWC.transpose(1, 2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SMALLEST)
def test_the_smallest_of_each_family_trains(name, channels):
    """A step in bf16 and channels_last at 28, 64 and 112 px reaches every parameter."""
    for size in (28, 64, 112):
        torch.manual_seed(size)
        embedder = models.build(name, in_channels=channels, image_size=size, embedding=8).train()
        wake(embedder)
        optimizer = torch.optim.SGD(embedder.parameters(), lr=1e-3)
        image = images(4, channels, size).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            emb = embedder(image)
        assert emb.shape == (4, 8) and emb.dtype == torch.float32
        (emb * torch.randn(emb.shape)).sum().backward()
        for path, parameter in embedder.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, (path, size)
        before = [p.detach().clone() for p in embedder.parameters()]
        optimizer.step()
        assert all(p.isfinite().all() for p in embedder.parameters())
        assert any((p != b).any() for p, b in zip(embedder.parameters(), before, strict=True))


def test_every_family_has_its_smallest_here():
    there = {registry.NETWORKS[name][0] for name in SMALLEST}
    assert there == {network for network, _ in registry.NETWORKS.values()}


@pytest.mark.parametrize("name", SMALLEST)
def test_every_family_takes_every_stem(name):
    """Its last map is smaller than the image by the stem's reduction times the stages'; the one
    that auto chooses leaves at least 2x2, and is the published one at 224 px."""
    assert models.choose_stem(name, 224) == published_stem(name)
    stages = 4 if name == "cnn_64_256_64" else registry.NETWORKS[name][0].REDUCTION
    made = {}
    for stem in ("4x4/4", "7x7/2", models.choose_stem(name, 28)):
        made[stem] = on_meta(lambda stem=stem: make(name, stem=stem))
        side = max(1, 128 // (STEMS[stem].reduction * stages))
        shape = (made[stem].num_features, side, side)
        assert registry.last_map(made[stem], 3, 128) == shape
    assert min(registry.last_map(made[models.choose_stem(name, 28)], 3, 28)) >= 2


# Backbone, neck of 512 and (K, 512) class weights together.
@pytest.mark.parametrize("name", ["resnet50", "convnext_30m", "iresnet_30m"])
def test_under_30_million_with_8631_classes(name):
    embedder = on_meta(lambda: models.build(name, in_channels=3, image_size=112, embedding=512))
    total = models.count_parameters([embedder]) + 8631 * 512
    assert 28_000_000 < total < 30_000_000


@pytest.mark.parametrize(
    ("name", "embedding", "published"),
    [
        ("iresnet18", 512, 24.03),
        ("iresnet34", 512, 34.14),
        ("iresnet50", 512, 43.59),
        ("iresnet100", 512, 65.16),
        ("mobilefacenet", 128, 0.99),
    ],
)
def test_published_counts_of_face_networks(name, embedding, published):
    """Millions, with the published neck at 112 px; timm has none of these."""
    embedder = on_meta(
        lambda: models.build(name, in_channels=3, image_size=112, embedding=embedding)
    )
    millions = models.count_parameters([embedder]) / 1e6
    assert millions == pytest.approx(published, rel=0.015)


@pytest.mark.parametrize("name", SMALLEST[2:])
def test_regularisers_reach_every_family(name):
    """Residual branches end in what the recipe asks for, and nothing else is changed."""
    plain = on_meta(lambda: make(name))
    network = make(name, drop_path=0.5, drop_block=0.2, layer_scale=0.1)
    kinds = [type(m).__name__ for m in network.modules()]
    assert "DropPath" in kinds and "DropBlock" in kinds
    scales = [p for path, p in network.named_parameters() if path.endswith("gamma")]
    assert scales and all((p == 0.1).all() for p in scales)
    rates = [m.rate for m in network.modules() if isinstance(m, DropPath)]
    assert rates == sorted(rates) and rates[-1] <= 0.5
    wake(network)
    image = images(2, size=64)
    network.train()
    torch.manual_seed(0)
    first = network(image)
    assert (network(image) - first).abs().max() > 0  # random while training
    keys = set(plain.state_dict())
    assert all(k in keys or "gamma" in k for k in network.state_dict())


@pytest.mark.parametrize("name", SMALLEST[2:])
@pytest.mark.parametrize("zero", [True, False])
def test_zero_initialised_last_scale(name, zero):
    if name.startswith("convnext") and zero:
        with pytest.raises(UserError, match="layer_scale"):
            make(name, zero_init_last=True)
        return
    blocks = [
        m
        for m in make(name, zero_init_last=zero).modules()
        if getattr(m, "last_scale", None) is not None
    ]
    assert blocks or name.startswith("convnext")
    for block in blocks:
        assert (block.last_scale == (0 if zero else 1)).all()


def test_a_plain_network_has_no_branches_to_regularise():
    with pytest.raises(UserError, match="drop_path"):
        make("cnn5", drop_path=0.1)


def test_mobilenet_s_activations_stop_at_6():
    """Random weights seldom reach 6, so the comparison with timm does not see it."""
    network = on_meta(lambda: make("mobilenetv2_035"))
    kinds = {type(m) for m in network.modules() if "ReLU" in type(m).__name__}
    assert kinds == {torch.nn.ReLU6}
