"""The residual blocks of He et al. 2015, and stochastic depth.

Shapes: B batch, C H W image or feature map. Parameter names are those of timm and torchvision,
so that weights can be copied between them and these.
"""

import torch
from torch import Tensor, nn


def wide(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if they already are."""
    return x if x.dtype == torch.float64 else x.float()


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): drops a residual branch for whole images.

    While training, each image's branch is zero with probability `rate` and is otherwise divided
    by 1 - rate, so that its expectation stays; in evaluation nothing happens. Any (B, ...) float
    tensor; 0 <= rate < 1.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = 1.0 - self.rate
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) < keep
        return x.div(keep) * kept

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias: the BatchNorm that follows has one."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    """A projection where the block changes the shape, else None (the input itself)."""
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(_conv(channels_in, channels_out, 1, stride), nn.BatchNorm2d(channels_out))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions: (B, channels_in, H, W) -> (B, width, H/stride, W/stride)."""

    expansion = 1  # channels out = expansion * width

    def __init__(self, channels_in: int, width: int, stride: int, drop_path: float):
        super().__init__()
        self.conv1 = _conv(channels_in, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels_in, width, stride)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.act(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.act(self.drop_path(x) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions: (B, channels_in, H, W) -> (B, 4 width, H/stride, W/stride).

    The stride is on the 3x3 ("v1.5", as in torchvision and timm), not on the first 1x1, which
    would throw away three quarters of its input.
    """

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int, drop_path: float):
        super().__init__()
        channels_out = width * self.expansion
        self.conv1 = _conv(channels_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, channels_out, 1)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample = _shortcut(channels_in, channels_out, stride)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.act(self.bn1(self.conv1(x)))
        x = self.act(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.act(self.drop_path(x) + shortcut)
