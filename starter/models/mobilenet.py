"""MobileNetV2 (Sandler et al. 2018): wide inside a block, narrow between blocks. EfficientNet
(Tan & Le 2019): the same with gates, depth and width scaled together.

Shapes: B batch, C H W image or feature map.
"""

import math
from collections.abc import Callable

from timm.layers import make_divisible
from torch import Tensor, nn

from starter.models.blocks import (
    Backbone,
    Block,
    block_shapes,
    conv,
    init_fan_out,
    zero_last_scales,
)
from starter.models.layers import BranchEnds, Regularise, stem_conv, stem_pool

Activation = Callable[[], nn.Module]
MakeGate = Callable[[int, int], nn.Module]  # (channels gated, the block's channels in) -> module


def relu6() -> nn.Module:
    return nn.ReLU6(inplace=True)


def no_gate(channels: int, block_in: int) -> nn.Module:
    return nn.Identity()


class DepthwiseSeparable(Block):
    """Depthwise k x k, 1x1 without activation: (B, channels_in, H, W) -> (B, channels_out, ...)."""

    LAST_SCALE = "bn2.weight"

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int,
        kernel: int,
        end: nn.Module,
        act: Activation,
        gate: MakeGate,
    ):
        super().__init__()
        self.residual = stride == 1 and channels_in == channels_out
        self.conv_dw = conv(channels_in, channels_in, kernel, stride, channels_in)
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.act = act()
        self.se = gate(channels_in, channels_in)
        self.conv_pw = conv(channels_in, channels_out, 1)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.end = end if self.residual else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv_pw(self.se(self.act(self.bn1(self.conv_dw(x))))))
        return self.end(y) + x if self.residual else y


class InvertedResidual(Block):
    """1x1 to six times the channels, depthwise k x k, 1x1 back without activation."""

    LAST_SCALE = "bn3.weight"

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int,
        kernel: int,
        end: nn.Module,
        act: Activation,
        gate: MakeGate,
    ):
        super().__init__()
        self.residual = stride == 1 and channels_in == channels_out
        inner = make_divisible(channels_in * 6)
        self.conv_pw = conv(channels_in, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv_dw = conv(inner, inner, kernel, stride, inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.act, self.act2 = act(), act()
        self.se = gate(inner, channels_in)
        self.conv_pwl = conv(inner, channels_out, 1)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.end = end if self.residual else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv_pw(x)))
        y = self.se(self.act2(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return self.end(y) + x if self.residual else y


# (blocks, kernel, stride of the first, channels) a stage; the first stage does not expand.
MOBILENET_STAGES = (
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (3, 3, 2, 32),
    (4, 3, 2, 64),
    (3, 3, 1, 96),
    (3, 3, 2, 160),
    (1, 3, 1, 320),
)
MOBILENETS = {  # the factor on every width
    "mobilenetv2_035": 0.35,  # 0.4 M
    "mobilenetv2_050": 0.5,
    "mobilenetv2_075": 0.75,
    "mobilenetv2_100": 1.0,  # 2.2 M
    "mobilenetv2_140": 1.4,  # 4.3 M
}


class Inverted(Backbone):
    """A network of inverted residuals: what MobileNetV2 and EfficientNet share.

    stages: as MOBILENET_STAGES, widths and depths scaled already. head: channels of the last 1x1.
    """

    def __init__(
        self,
        stages: tuple[tuple[int, int, int, int], ...],
        *,
        in_channels: int,
        stem: str,
        stem_width: int,
        head: int,
        act: Activation,
        gate: MakeGate,
        regularise: Regularise,
    ):
        super().__init__(stem)
        self.conv_stem = stem_conv(in_channels, stem_width, stem)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.stem_pool = stem_pool(stem)
        self.act, self.act2 = act(), act()
        depths, kernels, strides, widths = zip(*stages, strict=True)
        ends = BranchEnds(regularise, depths)
        self.blocks = nn.Sequential()
        shapes_of_stages = block_shapes(stem_width, widths, depths, strides)
        for kernel, shapes in zip(kernels, shapes_of_stages, strict=True):
            block = InvertedResidual if len(self.blocks) else DepthwiseSeparable
            self.blocks.append(
                nn.Sequential(
                    *[block(*shape, kernel, ends(shape[1]), act, gate) for shape in shapes]
                )
            )
        self.conv_head = conv(widths[-1], head, 1)
        self.bn2 = nn.BatchNorm2d(head)
        self.num_features = head
        init_fan_out(self, groups=True)
        if regularise.zero_init_last:
            zero_last_scales(self)

    def features(self, image_BCHW: Tensor) -> Tensor:
        x = self.stem_pool(self.act(self.bn1(self.conv_stem(image_BCHW))))
        return self.act2(self.bn2(self.conv_head(self.through(self.blocks, x))))


class MobileNetV2(Inverted):
    """image_BCHW -> feature_BF. State-dict keys are timm's."""

    def __init__(self, setting: float, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(
            tuple(
                (n, k, s, make_divisible(setting * width)) for n, k, s, width in MOBILENET_STAGES
            ),
            in_channels=in_channels,
            stem=stem,
            stem_width=make_divisible(setting * 32),
            head=max(1280, make_divisible(setting * 1280)),
            act=relu6,
            gate=no_gate,
            regularise=regularise,
        )


# As MOBILENET_STAGES, of B0.
EFFICIENTNET_STAGES = (
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (2, 5, 2, 40),
    (3, 3, 2, 80),
    (3, 5, 1, 112),
    (4, 5, 2, 192),
    (1, 3, 1, 320),
)
EFFICIENTNETS = {  # factors on (width, depth)
    "efficientnet_b0": (1.0, 1.0),  # 4.0 M
    "efficientnet_b1": (1.0, 1.1),  # 6.5 M
    "efficientnet_b2": (1.1, 1.2),  # 7.7 M
    "efficientnet_b3": (1.2, 1.4),  # 10.7 M
}


def silu() -> nn.Module:
    return nn.SiLU(inplace=True)


class Gate(nn.Module):
    """Squeeze-and-excitation to a quarter of the block's channels in, not of those gated."""

    def __init__(self, channels: int, block_in: int):
        super().__init__()
        squeezed = round(block_in / 4)
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = silu()
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.conv_expand(self.act(self.conv_reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class EfficientNet(Inverted):
    """image_BCHW -> feature_BF. State-dict keys are timm's."""

    def __init__(
        self, setting: tuple[float, float], *, in_channels: int, stem: str, regularise: Regularise
    ):
        wider, deeper = setting
        super().__init__(
            tuple(
                (math.ceil(n * deeper), k, s, make_divisible(wider * w))
                for n, k, s, w in EFFICIENTNET_STAGES
            ),
            in_channels=in_channels,
            stem=stem,
            stem_width=make_divisible(wider * 32),
            head=make_divisible(wider * 1280),
            act=silu,
            gate=Gate,
            regularise=regularise,
        )
