"""MobileNetV2 (Sandler et al. 2018): wide inside a block, narrow between blocks.

Shapes: B batch, C H W image or feature map.
"""

from collections.abc import Callable

from timm.layers import make_divisible
from torch import Tensor, nn

from starter.models.blocks import Backbone, conv, init_fan_out, zero_last_scales
from starter.models.regularise import BranchEnds, Regularise
from starter.models.stems import stem_conv, stem_pool

Activation = Callable[[], nn.Module]
Gate = Callable[[int, int], nn.Module]  # (channels gated, the block's channels in) -> module


def relu6() -> nn.Module:
    return nn.ReLU6(inplace=True)


def no_gate(channels: int, block_in: int) -> nn.Module:
    return nn.Identity()


class DepthwiseSeparable(nn.Module):
    """Depthwise k x k, 1x1 without activation: (B, channels_in, H, W) -> (B, channels_out, ...)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int,
        end: nn.Module,
        act: Activation,
        gate: Gate,
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

    @property
    def last_scale(self) -> nn.Parameter | None:
        return self.bn2.weight if self.residual else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv_pw(self.se(self.act(self.bn1(self.conv_dw(x))))))
        return self.end(y) + x if self.residual else y


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the channels, depthwise k x k, 1x1 back without activation."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int,
        end: nn.Module,
        act: Activation,
        gate: Gate,
        expansion: int = 6,
    ):
        super().__init__()
        self.residual = stride == 1 and channels_in == channels_out
        inner = make_divisible(channels_in * expansion)
        self.conv_pw = conv(channels_in, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv_dw = conv(inner, inner, kernel, stride, inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.act, self.act2 = act(), act()
        self.se = gate(inner, channels_in)
        self.conv_pwl = conv(inner, channels_out, 1)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.end = end if self.residual else nn.Identity()

    @property
    def last_scale(self) -> nn.Parameter | None:
        return self.bn3.weight if self.residual else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv_pw(x)))
        y = self.se(self.act2(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return self.end(y) + x if self.residual else y


# (blocks, kernel, stride of the first, channels) a stage; the first stage does not expand.
STAGES = (
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (3, 3, 2, 32),
    (4, 3, 2, 64),
    (3, 3, 1, 96),
    (3, 3, 2, 160),
    (1, 3, 1, 320),
)
SETTINGS = {  # the factor on every width
    "mobilenetv2_035": 0.35,  # 0.4 M
    "mobilenetv2_050": 0.5,
    "mobilenetv2_075": 0.75,
    "mobilenetv2_100": 1.0,  # 2.2 M
    "mobilenetv2_140": 1.4,  # 4.3 M
}


class Inverted(Backbone):
    """A network of inverted residuals: what MobileNetV2 and EfficientNet share.

    stages: as STAGES, widths and depths scaled already. head: channels of the last 1x1.
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
        gate: Gate,
        regularise: Regularise,
    ):
        super().__init__(stem)
        self.conv_stem = stem_conv(in_channels, stem_width, stem)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.stem_pool = stem_pool(stem)
        self.act, self.act2 = act(), act()
        ends = BranchEnds(regularise, [depth for depth, *_ in stages])
        width, made = stem_width, []
        for number, (depth, kernel, stride, out) in enumerate(stages):
            block = DepthwiseSeparable if number == 0 else InvertedResidual
            blocks = []
            for i in range(depth):
                step = stride if i == 0 else 1
                blocks.append(block(width, out, kernel, step, ends(out), act, gate))
                width = out
            made.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*made)
        self.conv_head = conv(width, head, 1)
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
            tuple((n, k, s, make_divisible(setting * width)) for n, k, s, width in STAGES),
            in_channels=in_channels,
            stem=stem,
            stem_width=make_divisible(setting * 32),
            head=max(1280, make_divisible(setting * 1280)),
            act=relu6,
            gate=no_gate,
            regularise=regularise,
        )
