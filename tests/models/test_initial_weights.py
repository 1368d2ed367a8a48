"""First weights as published for each family: their spread, from the papers or their code."""

import pytest
import torch

from starter.models import registry
from starter.models.layers import Regularise


def made(name, **keys):
    torch.manual_seed(0)
    network, setting = registry.NETWORKS[name]
    stem = getattr(setting, "stems", network.STEMS_BY_COST)[0]
    return registry.build_family(name, in_channels=3, stem=stem, regularise=Regularise(**keys))


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    [
        # N(0, 2 / fan_out): kernel area times channels out, of one group where the paper counts so
        ("resnet18", "layer3.0.conv1", (2 / (9 * 256)) ** 0.5),
        ("cnn5", "layers.2.conv", (2 / (9 * 512)) ** 0.5),
        ("resnest14d", "layer1.0.conv3", (2 / 256) ** 0.5),
        ("regnetx_002", "s4.b1.conv2.conv", (2 / (9 * 8)) ** 0.5),
        ("mobilenetv2_100", "blocks.5.1.conv_dw", (2 / 9) ** 0.5),
        ("efficientnet_b0", "blocks.6.0.conv_pwl", (2 / 320) ** 0.5),
        ("mobilefacenet", "blocks.6.depthwise.0", (2 / 9) ** 0.5),
        # insightface's
        ("iresnet18", "layer3.0.conv1", 0.1),
        # lecun: 1 / fan_in
        ("nf_resnet26", "stages.2.1.conv3", (1 / 256) ** 0.5),
        # cut at 2 (of absolute size: 100 deviations)
        ("convnext_atto", "stages.3.blocks.0.mlp.fc1", 0.02),
        ("convnext_atto", "stages.1.blocks.0.conv_dw", 0.02),
    ],
)
def test_spread_of_the_first_weights(name, layer, expected):
    module = made(name).get_submodule(layer)
    weight = module.weight.detach().double()
    tolerance = 5 / (2 * weight.numel()) ** 0.5  # five standard errors of a deviation
    assert weight.std().item() == pytest.approx(expected, rel=tolerance)
    assert weight.mean().abs().item() < 5 * expected / weight.numel() ** 0.5
    assert module.bias is None or (module.bias == 0).all()


@pytest.mark.parametrize("name", ["convnext_atto", "convnext_30m"])
def test_convnext_starts_with_the_papers_layer_scale(name):
    gammas = [p for k, p in made(name).named_parameters() if k.endswith("gamma")]
    assert len(gammas) == sum(registry.NETWORKS[name][1].depths)
    assert all((gamma == 1e-6).all() for gamma in gammas)
    assert not [k for k, _ in made(name, layer_scale=0.0).named_parameters() if "gamma" in k]


@pytest.mark.parametrize(
    ("name", "zero"),
    [
        ("resnet18", True),
        ("regnetx_002", True),
        ("resnest14d", True),
        ("nf_resnet26", True),
        ("iresnet18", False),
        ("mobilenetv2_035", False),
        ("efficientnet_b0", False),
        ("mobilefacenet", False),
    ],
)
def test_blocks_start_as_the_identity_where_the_paper_says_so(name, zero):
    scales = [
        scale for m in made(name).modules() if (scale := getattr(m, "last_scale", None)) is not None
    ]
    assert scales and all((scale == (0 if zero else 1)).all() for scale in scales)
