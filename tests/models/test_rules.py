"""Parameter counts and what counts as a convolutional network."""

import pytest
import timm
from torch import nn

from starter import losses, models
from starter.errors import UserError
from starter.models.embedder import Embedder, Preprocessing
from starter.models.rules import not_convolutional
from starter.recipe.schema import RulesSection
from tests.models.networks import on_meta


def make():
    return models.build("resnet10_small", in_channels=3, image_size=32, embedding=16)


def test_counts_by_hand_and_the_limit():
    embedder = make()
    head = losses.build("softmax", embedding=16, classes=10)
    inside = 1_226_400 + 256 * 16 + 16  # backbone, linear, BatchNorm weight
    total = inside + 16 * 10 + 10
    line = models.check_rules(embedder, [head], RulesSection(max_parameters=total))
    assert line == (f"embedder {inside:,} + heads 170 = {total:,} parameters of limit {total:,}")
    with pytest.raises(UserError, match="1 too many"):
        models.check_rules(embedder, [head], RulesSection(max_parameters=total - 1))
    assert "limit" not in models.check_rules(embedder, [], RulesSection())


def test_frozen_count_and_shared_count_once():
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    assert models.count_parameters([layer, nn.Sequential(layer)]) == 8


def test_from_scratch():
    scratch = make()
    models.check_rules(scratch, [], RulesSection(from_scratch=True))
    loaded = Embedder(scratch.backbone, scratch.neck, scratch.preprocessing, pretrained=True)
    with pytest.raises(UserError, match="from_scratch"):
        models.check_rules(loaded, [], RulesSection(from_scratch=True))
    models.check_rules(loaded, [], RulesSection())


CONVOLUTIONAL = [
    *("resnet18", "seresnet18", "ecaresnet26t", "gcresnet33ts", "skresnet18", "resnest14d"),
    *("convnext_atto", "mobilenetv3_small_050", "efficientnet_b0", "regnety_002", "densenet121"),
    *("repvgg_a0", "ghostnet_050"),
]
NOT_CONVOLUTIONAL = [
    *("test_vit", "swin_tiny_patch4_window7_224", "halonet26t", "lambda_resnet26t", "levit_128s"),
    *("botnet26t_256", "coatnet_0_224", "xcit_nano_12_p16_224", "convit_tiny", "efficientvit_b0"),
    *("efficientvim_m1", "mobilevit_xxs", "edgenext_xx_small", "mobilenetv4_hybrid_medium"),
    *("pvt_v2_b0", "sequencer2d_s", "shvit_s1", "swiftformer_xs"),
]


@pytest.mark.parametrize("name", CONVOLUTIONAL + NOT_CONVOLUTIONAL)
def test_timms_networks(name):
    if not timm.is_model(name):
        pytest.skip("newer than the installed timm")
    found = not_convolutional(on_meta(lambda: timm.create_model(name)))
    assert bool(found) == (name in NOT_CONVOLUTIONAL), found


@pytest.mark.parametrize(
    "layer",
    [
        nn.MultiheadAttention(8, 2),
        nn.TransformerEncoderLayer(8, 2),
        nn.LSTM(8, 8),
        nn.GRUCell(8, 8),
    ],
)
def test_torchs_own_layers(layer):
    backbone = nn.Sequential(nn.Flatten(), nn.Sequential(layer))
    embedder = Embedder(backbone, nn.Identity(), Preprocessing.default(32, 3))
    with pytest.raises(UserError, match=r"backbone\.1\.0 \("):
        models.check_rules(embedder, [], RulesSection(cnn_only=True))
    models.check_rules(embedder, [], RulesSection())
    models.check_rules(make(), [], RulesSection(cnn_only=True))
