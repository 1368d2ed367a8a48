"""Stochastic depth, DropBlock and layer scale against their definitions."""

import numpy as np
import pytest
import torch
from torch import nn

from starter.models.layers import (
    BranchEnds,
    DropBlock,
    DropPath,
    LayerScale,
    Regularise,
    block_size,
    spread,
)


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


def test_blocks_are_half_of_a_small_map():
    assert [block_size(side) for side in (1, 2, 3, 4, 7, 8, 14, 28)] == [1, 1, 1, 2, 3, 4, 7, 7]


def plain_spread(seed, size):
    """The definition: a place is dropped when a square that starts at a seed covers it."""
    out = np.zeros_like(seed)
    for image, _, row, column in zip(*np.nonzero(seed), strict=True):
        out[image, 0, row : row + size, column : column + size] = 1
    return out


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_squares_start_at_their_seeds(size):
    rng = np.random.default_rng(size)
    seed = np.zeros((5, 1, 14, 12), np.float32)
    seed[:, :, : 15 - size, : 13 - size] = rng.random((5, 1, 15 - size, 13 - size)) < 0.05
    found = spread(torch.from_numpy(seed), size)
    np.testing.assert_array_equal(found.numpy(), plain_spread(seed, size))


@pytest.mark.parametrize(("side", "rate"), [(14, 0.1), (7, 0.2), (2, 0.3), (1, 0.25)])
def test_drop_block_drops_the_expected_share(side, rate):
    """Each place is kept where none of the squares that cover it starts (eq. 1 for gamma)."""
    torch.manual_seed(0)
    count, size = 4000, block_size(side)
    out = DropBlock(rate).train()(torch.ones(count, 3, side, side))
    starts = side - size + 1
    gamma = rate * side**2 / size**2 / starts**2
    covering = [min(i, starts - 1) - max(i - size + 1, 0) + 1 for i in range(side)]
    expected = 1 - np.mean([(1 - gamma) ** (a * b) for a in covering for b in covering])
    dropped = (out == 0).float().mean().item()
    assert dropped == pytest.approx(expected, abs=0.01) and dropped <= rate + 0.01
    assert (out[:, :1] == out).all()  # every channel alike
    assert out.mean().item() == pytest.approx(1, abs=1e-5)  # what stays makes up for it


def test_drop_block_in_evaluation_and_in_low_precision():
    x = torch.rand(5, 3, 4, 4, dtype=torch.bfloat16)
    assert DropBlock(0.3).eval()(x) is x
    assert DropBlock(0.3).train()(x).dtype == torch.bfloat16


def test_layer_scale_is_a_factor_per_channel():
    scale = LayerScale(3, 0.1)
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(scale(x), 0.1 * x)
    nn.init.constant_(scale.gamma[1:2], 2.0)
    torch.testing.assert_close(scale(x)[:, 1], 2 * x[:, 1])


def test_each_branch_ends_in_what_the_recipe_asks_for():
    assert isinstance(BranchEnds(Regularise(), (2, 2))(8), nn.Identity)
    ends = BranchEnds(Regularise(0.3, 0.1, 1e-3), (2, 1, 1))
    made = [[type(m) for m in ends(8)] for _ in range(4)]
    assert made == [
        [LayerScale],  # the first block's rate is 0
        [LayerScale, DropPath],
        [LayerScale, DropBlock, DropPath],  # the last two stages
        [LayerScale, DropBlock, DropPath],
    ]
