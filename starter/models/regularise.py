"""What keeps a deep network from leaning on any one path: a module for the end of each branch.

Shapes: B batch, C H W feature map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK_SIZE = 7  # DropBlock's on the paper's maps of 14x14 and more


class Drop(nn.Module):
    """What the two below share: their rate, shown where a network is printed."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"


class DropPath(Drop):
    """Stochastic depth (Huang et al. 2016): drops a residual branch for whole images.

    While training, each image's branch is zero with probability `rate` and is otherwise divided
    by 1 - rate, so that its expectation stays; in evaluation nothing happens. Any (B, ...) float
    tensor; 0 <= rate < 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = 1.0 - self.rate
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) < keep
        return x.div(keep) * kept


def block_size(side: int) -> int:
    """DropBlock's square on a map of `side` pixels: half of it, at most 7 (of 14x14, as published).

    The paper's 7 would leave nothing of the 2x2 to 7x7 maps that small images end in.
    """
    return max(1, min(BLOCK_SIZE, side // 2))


def spread(seed_B1HW: Tensor, size: int) -> Tensor:
    """Squares of `size` whose top left corners are the seeds: 1 inside one of them, else 0."""
    return F.max_pool2d(F.pad(seed_B1HW, (size - 1, 0, size - 1, 0)), size, stride=1)


class DropBlock(Drop):
    """DropBlock (Ghiasi et al. 2018): zeroes squares of the map, in every channel at once.

    While training, a square starts at each place where a whole one fits with probability gamma
    (the paper's eq. 1), so that about `rate` of the map is dropped (less where squares overlap);
    what stays is scaled so that the batch's sum of the mask stays. In evaluation nothing happens.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        height, width = x.shape[-2:]
        size = block_size(min(height, width))
        places = (height - size + 1) * (width - size + 1)
        gamma = self.rate * height * width / size**2 / places
        fits = (len(x), 1, height - size + 1, width - size + 1)
        seed = (torch.rand(fits, device=x.device) < gamma).float()
        kept = 1 - spread(F.pad(seed, (0, size - 1, 0, size - 1)), size)
        return x * (kept * (kept.numel() / kept.sum().clamp(min=1))).to(x.dtype)


class LayerScale(nn.Module):
    """A factor per channel, trained, that starts small (Touvron et al. 2021, CaiT, eq. 4)."""

    def __init__(self, channels: int, start: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None].to(x.dtype)


@dataclass(frozen=True)
class Regularise:
    """The recipe's keys. None stands for what the family's paper does.

    drop_path: the stochastic depth rate of the last block, growing linearly from 0 at the first.
    drop_block: DropBlock's rate, in the last two stages. layer_scale: its first value, 0 for none.
    zero_init_last: whether the last BatchNorm of a branch starts at 0.
    """

    drop_path: float = 0.0
    drop_block: float = 0.0
    layer_scale: float | None = None
    zero_init_last: bool | None = None


class BranchEnds:
    """Makes what each residual branch ends in, called once a block from the first to the last."""

    def __init__(self, regularise: Regularise, depths: Sequence[int]):
        self.regularise = regularise
        self.rates = torch.linspace(0, regularise.drop_path, sum(depths), device="cpu").tolist()
        self.first_dropped = sum(depths[:-2])
        self.made = 0

    def __call__(self, channels: int) -> nn.Module:
        keys, number = self.regularise, self.made
        self.made += 1
        end: list[nn.Module] = []
        if keys.layer_scale:
            end.append(LayerScale(channels, keys.layer_scale))
        if keys.drop_block and number >= self.first_dropped:
            end.append(DropBlock(keys.drop_block))
        if self.rates[number]:
            end.append(DropPath(self.rates[number]))
        return nn.Sequential(*end) if end else nn.Identity()
