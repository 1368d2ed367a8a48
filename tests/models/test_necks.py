"""Pooling against its definition, in any memory format."""

import numpy as np
import pytest
import torch

from starter import models
from starter.errors import UserError
from starter.models.layers import POOLS, GeM, make_pool
from tests.models.networks import images


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pools_are_the_arithmetic(kind, layout):
    torch.manual_seed(0)
    x = torch.randn(3, 5, 4, 2).to(memory_format=layout)
    pool, features = make_pool(kind, (5, 4, 2))
    found = pool.eval()(x)
    plain = x.numpy()
    if kind == "avg":
        expected = plain.mean((2, 3))
    elif kind == "gem":
        expected = (np.maximum(plain, 1e-6) ** 3).mean((2, 3)) ** (1 / 3)
    elif kind == "flatten":
        expected = np.stack([image.ravel() for image in plain])  # channel, row, column
    else:
        weight = pool.conv.weight.detach().numpy()[:, 0]
        expected = (plain * weight).sum((2, 3)) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
    assert found.shape == (3, features)
    with torch.autocast("cpu", torch.bfloat16):
        assert pool(x.bfloat16()).dtype == torch.float32


def test_gem_goes_from_the_average_to_the_maximum_and_is_trained():
    x = torch.rand(3, 5, 4, 4) + 0.1
    torch.testing.assert_close(GeM(1.0)(x), x.mean((2, 3)))
    torch.testing.assert_close(GeM(400.0)(x.double()), x.double().amax((2, 3)), rtol=0.01, atol=0)
    pool = GeM()
    pool(x).sum().backward()
    assert pool.p.grad.abs() > 0


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", ["resnet10_small", "convnext_atto"])
def test_every_pool_on_a_backbone(name, pool):
    embedder = models.build(name, in_channels=1, image_size=64, embedding=6, pool=pool, dropout=0.1)
    side = 2
    width = embedder.backbone.num_features
    assert width == {"resnet10_small": 256, "convnext_atto": 320}[name] * (
        side**2 if pool == "flatten" else 1
    )
    emb = embedder.train()(images(4, 1))
    assert emb.shape == (4, 6)
    (emb * torch.randn(emb.shape)).sum().backward()
    assert all(p.grad is not None for p in embedder.parameters())


def test_face_networks_pool_as_published():
    face = models.build("mobilefacenet", in_channels=3, image_size=112, embedding=128)
    assert face.backbone.pool.conv.kernel_size == (7, 7)
    assert face.backbone.num_features == 512
    with torch.device("meta"):
        deep = models.build("iresnet18", in_channels=3, image_size=112, embedding=512)
    assert deep.neck[1].in_features == 512 * 49


def test_bn_neck_with_dropout():
    embedder = models.build(
        "resnet10_small", in_channels=1, image_size=32, embedding=256, neck="bn", dropout=0.3
    )
    assert embedder.neck[0].p == 0.3 and embedder.neck[1].bias is None
    with pytest.raises(UserError, match="dropout"):
        models.build(
            "resnet10_small",
            in_channels=1,
            image_size=32,
            embedding=256,
            neck="identity",
            dropout=0.3,
        )
