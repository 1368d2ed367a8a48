"""What the families share: the backbone's shape, convolutions, gates, and ResNet's two blocks.

Shapes: B batch, C H W image or feature map, F features. Parameter names are those of timm and
torchvision, so that weights can be copied between them and these.
"""

from collections.abc import Iterable
from typing import ClassVar

import torch
from timm.layers import SEModule
from torch import Tensor, nn

from starter.models.necks import Average
from starter.models.recompute import recomputed


class Backbone(nn.Module):
    """image_BCHW float (C = in_channels) -> feature_BF float32, F = `num_features`.

    A family gives `features` (the last map), STEMS_BY_COST (keys of stems.STEMS, its paper's
    first), REDUCTION (of the stages after the stem), SMALLEST (the last map has more pixels a
    side) and POOL (the paper's pooling). A setting's own `stems` and `pool` take precedence.
    """

    STEMS_BY_COST: ClassVar[tuple[str, ...]] = ("3x3/2", "3x3/1")
    REDUCTION: ClassVar[int] = 16
    SMALLEST: ClassVar[float] = 1.5
    POOL: ClassVar[str] = "avg"
    RECOMPUTES: ClassVar[bool] = True  # `features` passes its stages to `through`
    num_features: int

    def __init__(self, stem: str):
        super().__init__()
        self.stem_kind = stem
        self.pool: nn.Module = Average()
        self.recompute = False

    def features(self, image_BCHW: Tensor) -> Tensor:
        """The last feature map, (B, F, H, W)."""
        raise NotImplementedError

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return self.pool(self.features(image_BCHW))

    def through(self, stages: Iterable[nn.Module], x: Tensor) -> Tensor:
        """x passed on by each; recomputed in the backward pass where `recompute` is set."""
        for stage in stages:
            again = self.recompute and self.training and torch.is_grad_enabled()
            x = recomputed(stage, x) if again else stage(x)
        return x


def conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1):
    """A convolution without bias: the BatchNorm that follows has one."""
    return nn.Conv2d(
        channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
    )


def shortcut(
    channels_in: int, channels_out: int, stride: int, averaged: bool = False
) -> nn.Sequential | None:
    """A projection where the block changes the shape, else None (the input itself).

    averaged: ResNet-D's (He et al. 2019, figure 2c): a 2x2 average before a 1x1 without stride,
    which would throw away three quarters of its input.
    """
    if stride == 1 and channels_in == channels_out:
        return None
    if averaged:
        return nn.Sequential(
            averages(stride), conv(channels_in, channels_out, 1), nn.BatchNorm2d(channels_out)
        )
    return nn.Sequential(conv(channels_in, channels_out, 1, stride), nn.BatchNorm2d(channels_out))


def averages(stride: int) -> nn.Module:
    """A 2x2 average of that stride, of fewer pixels at the edge; nothing where it is 1."""
    if stride == 1:
        return nn.Identity()
    return nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)


class Block(nn.Module):
    """(channels_in, width, stride, end, ...): (B, channels_in, H, W) -> (B, expansion * width,
    H/stride, W/stride). `last_scale` is the factor that makes its branch nothing when 0."""

    expansion: ClassVar[int] = 1

    @property
    def last_scale(self) -> nn.Parameter:
        raise NotImplementedError


class BasicBlock(Block):
    """Two 3x3 convolutions: (B, channels_in, H, W) -> (B, width, H/stride, W/stride).

    end: the branch's end (regularise.py). averaged: see `shortcut`. se: with a gate (SE-ResNet).
    """

    def __init__(
        self, channels_in: int, width: int, stride: int, end: nn.Module, *, averaged: bool, se: bool
    ):
        super().__init__()
        self.conv1 = conv(channels_in, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = SEModule(width) if se else nn.Identity()
        self.downsample = shortcut(channels_in, width, stride, averaged)
        self.end = end
        self.act = nn.ReLU(inplace=True)

    @property
    def last_scale(self) -> nn.Parameter:
        return self.bn2.weight

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.act(self.bn1(self.conv1(x)))
        x = self.se(self.bn2(self.conv2(x)))
        return self.act(self.end(x) + shortcut)


class Bottleneck(Block):
    """1x1, 3x3, 1x1 convolutions: (B, channels_in, H, W) -> (B, 4 width, H/stride, W/stride).

    The stride is on the 3x3 ("v1.5", as in torchvision and timm), not on the first 1x1, which
    would throw away three quarters of its input. groups, base_width: ResNeXt's 3x3 has `groups`
    groups of width * base_width / 64 channels. The rest as in BasicBlock.
    """

    expansion = 4

    def __init__(
        self,
        channels_in: int,
        width: int,
        stride: int,
        end: nn.Module,
        *,
        groups: int = 1,
        base_width: int = 64,
        averaged: bool = False,
        se: bool = False,
    ):
        super().__init__()
        inner, channels_out = width * base_width // 64 * groups, width * self.expansion
        self.conv1 = conv(channels_in, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2: nn.Module = conv(inner, inner, 3, stride, groups)
        self.bn2: nn.Module = nn.BatchNorm2d(inner)
        self.conv3 = conv(inner, channels_out, 1)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.se = SEModule(channels_out) if se else nn.Identity()
        self.downsample = shortcut(channels_in, channels_out, stride, averaged)
        self.end = end
        self.act = nn.ReLU(inplace=True)

    @property
    def last_scale(self) -> nn.Parameter:
        return self.bn3.weight

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.spatial(self.act(self.bn1(self.conv1(x))))
        x = self.se(self.bn3(self.conv3(x)))
        return self.act(self.end(x) + shortcut)

    def spatial(self, x: Tensor) -> Tensor:
        """What is between the two 1x1: the only part that looks at more than one place."""
        return self.act(self.bn2(self.conv2(x)))


def zero_last_scales(network: nn.Module) -> None:
    """Every block starts as the identity (Goyal et al. 2017, 5.1)."""
    for module in network.modules():
        if isinstance(scale := getattr(module, "last_scale", None), nn.Parameter):
            nn.init.zeros_(scale)


def init_fan_out(network: nn.Module, *, groups: bool = False) -> None:
    """Convolutions ~ N(0, 2 / fan_out), biases 0 (He et al. 2015; per group in EfficientNet)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            fan_out //= module.groups if groups else 1
            with torch.no_grad():
                module.weight.normal_(0, (2 / fan_out) ** 0.5)
                if module.bias is not None:
                    module.bias.zero_()
