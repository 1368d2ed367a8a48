"""What the families share: the backbone's shape, recomputed stages, and ResNet's two blocks.

Shapes: B batch, C H W image or feature map, F features. Parameter names are those of timm and
torchvision, so that weights can be copied between them and these.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import torch
from timm.layers import SEModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from starter.models.layers import Average


class Backbone(nn.Module):
    """image_BCHW float (C = in_channels) -> feature_BF float32, F = `num_features`.

    A family gives `features` (the last map), STEMS_BY_COST (keys of layers.STEMS, its paper's
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


def recomputed(stage: nn.Module, x: Tensor) -> Tensor:
    """stage(x), of which only x is kept: the backward pass computes the rest again.

    The result is the same to the last bit: a stage draws the same random numbers again, and its
    BatchNorms count a batch once.
    """
    result = checkpoint(
        stage,
        x,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _statistics_left(stage)),
    )
    assert isinstance(result, Tensor)
    return result


@contextlib.contextmanager
def _statistics_left(stage: nn.Module) -> Iterator[None]:
    """Lets BatchNorm count the batch into copies of its statistics, which are thrown away.

    Counting cannot be switched off: the statistics are among the tensors that a backward pass
    keeps, and it has to find as many as in the forward pass.
    """
    own = [
        (module, name, statistic)
        for module in stage.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
        for name, statistic in module.named_buffers(recurse=False)
    ]
    for module, name, statistic in own:
        setattr(module, name, statistic.clone())
    try:
        yield
    finally:
        for module, name, statistic in own:
            setattr(module, name, statistic)


def conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1):
    """A convolution without bias: the BatchNorm that follows has one."""
    return nn.Conv2d(
        channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
    )


def shortcut(channels_in: int, channels_out: int, stride: int, averaged: bool = False) -> nn.Module:
    """A projection where the block changes the shape, else the input itself.

    averaged: ResNet-D's (He et al. 2019, figure 2c): a 2x2 average before a 1x1 without stride,
    which would throw away three quarters of its input.
    """
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    before = [averages(stride)] if averaged else []
    project = conv(channels_in, channels_out, 1, 1 if averaged else stride)
    return nn.Sequential(*before, project, nn.BatchNorm2d(channels_out))


def averages(stride: int) -> nn.Module:
    """A 2x2 average of that stride, of fewer pixels at the edge; nothing where it is 1."""
    if stride == 1:
        return nn.Identity()
    return nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)


class Block(nn.Module):
    """(channels_in, width, stride, end, ...): (B, channels_in, H, W) -> (B, expansion * width,
    H/stride, W/stride). LAST_SCALE: the factor that makes its branch nothing when 0."""

    LAST_SCALE: ClassVar[str]
    expansion: ClassVar[int] = 1
    residual = True  # whether the input is added to the branch

    @property
    def last_scale(self) -> nn.Parameter | None:
        return self.get_parameter(self.LAST_SCALE) if self.residual else None


class BasicBlock(Block):
    """Two 3x3 convolutions: (B, channels_in, H, W) -> (B, width, H/stride, W/stride).

    end: the branch's end (layers.py). averaged: see `shortcut`. se: with a gate (SE-ResNet).
    """

    LAST_SCALE = "bn2.weight"

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

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv1(x)))
        y = self.se(self.bn2(self.conv2(y)))
        return self.act(self.end(y) + self.downsample(x))


class Bottleneck(Block):
    """1x1, 3x3, 1x1 convolutions: (B, channels_in, H, W) -> (B, 4 width, H/stride, W/stride).

    The stride is on the 3x3 ("v1.5", as in torchvision and timm), not on the first 1x1, which
    would throw away three quarters of its input. groups, base_width: ResNeXt's 3x3 has `groups`
    groups of width * base_width / 64 channels. The rest as in BasicBlock.
    """

    LAST_SCALE = "bn3.weight"
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

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(self.act(self.bn1(self.conv1(x))))
        y = self.se(self.bn3(self.conv3(y)))
        return self.act(self.end(y) + self.downsample(x))

    def spatial(self, x: Tensor) -> Tensor:
        """What is between the two 1x1: the only part that looks at more than one place."""
        return self.act(self.bn2(self.conv2(x)))


def block_shapes(
    width: int, widths: Sequence[int], depths: Sequence[int], strides: Sequence[int]
) -> Iterator[list[tuple[int, int, int]]]:
    """Of each stage, (channels in, channels out, stride) of its blocks: the first one strides.

    width: channels before the first stage; widths, depths, strides: one of each stage.
    """
    for out, depth, stride in zip(widths, depths, strides, strict=True):
        yield [(width, out, stride)] + [(out, out, 1)] * (depth - 1)
        width = out


def zero_last_scales(network: nn.Module) -> None:
    """Every block starts as the identity (Goyal et al. 2017, 5.1)."""
    for module in network.modules():
        if isinstance(module, Block) and module.last_scale is not None:
            nn.init.zeros_(module.last_scale)


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
