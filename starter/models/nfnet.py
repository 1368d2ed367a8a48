"""NFNets (Brock et al. 2021a, 2021b): no BatchNorm; weights are standardised instead and each
block divides by the spread its input has by then. Train them with `agc` (the paper's 4.1).

Shapes: B batch, C H W image or feature map.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from timm.layers import ScaledStdConv2d, SEModule, make_divisible
from torch import Tensor, nn

from starter.models.blocks import Backbone, Block, averages, block_shapes
from starter.models.layers import STEMS, BranchEnds, Regularise, stem_pool

ALPHA = 0.2  # on every branch: the variance grows by its square a block
SE_GAIN = 2.0  # a sigmoid halves what it gates
# Factors that give the activation of N(0, 1) unit variance, kept in the weights before it.
ACTIVATIONS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "relu": (nn.ReLU, 1.7139588594436646),
    "gelu": (nn.GELU, 1.7015043497085571),
    "silu": (nn.SiLU, 1.7881293296813965),
}


# Filters are standardised, then scaled by a trained gain (2021a, eq. 3).
StdConv2d = partial(ScaledStdConv2d, eps=1e-5)


@dataclass(frozen=True)
class Setting:
    """depths, widths: blocks per stage, channels. act: a key of ACTIVATIONS. bottleneck: inner
    channels as a share. group: channels of a group of the 3x3s, 0 for one group. se: the gate's
    squeeze, 0 for none. head: channels of a last 1x1, 0 for none. deep: NFNet-F's stem of four
    3x3 and second 3x3 in each block."""

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (256, 512, 1536, 1536)
    act: str = "gelu"
    bottleneck: float = 0.5
    group: int = 128
    se: float = 0.5
    head: int = 3072
    deep: bool = True


def _resnet(*depths: int) -> Setting:
    return Setting(depths, (256, 512, 1024, 2048), "relu", 0.25, 0, 0, 0, deep=False)


SETTINGS = {
    "nf_resnet26": _resnet(2, 2, 2, 2),  # 14.0 M
    "nf_resnet50": _resnet(3, 4, 6, 3),  # 23.5 M
    "nf_resnet101": _resnet(3, 4, 23, 3),  # 42.5 M
    "nfnet_l0": Setting((1, 2, 6, 3), act="silu", bottleneck=0.25, group=64, se=0.25, head=2304),
    "nfnet_f0": Setting((1, 2, 6, 3)),  # 68.4 M
    "nfnet_f1": Setting((2, 4, 12, 6)),
}


class NormFreeBlock(Block):
    """act / spread, then 1x1, 3x3/stride, (3x3,) 1x1, gate:
    (B, channels_in, H, W) -> (B, width, H/stride, W/stride)."""

    LAST_SCALE = "conv3.gain"

    def __init__(
        self,
        channels_in: int,
        width: int,
        stride: int,
        spread: float,
        end: nn.Module,
        setting: Setting,
        zero_init: bool,
    ):
        super().__init__()
        act, gamma = ACTIVATIONS[setting.act]
        inner = make_divisible(width * setting.bottleneck)
        groups = inner // setting.group if setting.group else 1
        inner = setting.group * groups if setting.group else inner

        def conv(a: int, b: int, kernel: int, stride: int = 1, groups: int = 1, gain: float = 1.0):
            return StdConv2d(
                a, b, kernel, stride, kernel // 2, groups=groups, gamma=gamma, gain_init=gain
            )

        self.spread = spread
        self.downsample = None
        if stride > 1 or channels_in != width:
            self.downsample = nn.Sequential()
            self.downsample.add_module("pool", averages(stride))
            self.downsample.add_module("conv", conv(channels_in, width, 1))
        self.act = act()
        self.conv1 = conv(channels_in, inner, 1)
        self.conv2 = conv(inner, inner, 3, stride, groups)
        self.conv2b = conv(inner, inner, 3, 1, groups) if setting.deep else None
        self.conv3 = conv(inner, width, 1, gain=0.0 if zero_init else 1.0)
        self.attn_last = SEModule(width, setting.se) if setting.se else None
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(x) / self.spread
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.conv2(self.act(self.conv1(y)))
        if self.conv2b is not None:
            y = self.conv2b(self.act(y))
        y = self.conv3(self.act(y))
        if self.attn_last is not None:
            y = SE_GAIN * self.attn_last(y)
        return self.end(y) * ALPHA + shortcut


class NFNet(Backbone):
    """image_BCHW -> feature_BF. State-dict keys are timm's."""

    STEMS_BY_COST = ("7x7/2", "3x3/2", "3x3/1")
    REDUCTION = 8

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(stem)
        act, gamma = ACTIVATIONS[setting.act]
        self.stem, width = _stem(setting, in_channels, stem)
        ends = BranchEnds(regularise, setting.depths)
        zero_init = regularise.zero_init_last is not False
        self.stages, variance = nn.Sequential(), 1.0
        for shapes in block_shapes(width, setting.widths, setting.depths, (1, 2, 2, 2)):
            stage = nn.Sequential()
            for shape in shapes:
                end = ends(shape[1])
                stage.append(NormFreeBlock(*shape, variance**0.5, end, setting, zero_init))
                # A stage's first block starts anew.
                variance = (1.0 if len(stage) == 1 else variance) + ALPHA**2
            self.stages.append(stage)
        width = setting.widths[-1]
        self.final_conv: nn.Module = nn.Identity()
        if setting.head:
            self.final_conv = StdConv2d(width, setting.head, 1, gamma=gamma)
        self.final_act = act()
        self.num_features = setting.head or width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="linear")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, image_BCHW: Tensor) -> Tensor:
        return self.final_act(self.final_conv(self.through(self.stages, self.stem(image_BCHW))))


def _stem(setting: Setting, in_channels: int, stem: str) -> tuple[nn.Sequential, int]:
    """One convolution and perhaps a pool, or NFNet-F's four; and the channels it gives."""
    act, gamma = ACTIVATIONS[setting.act]
    made = nn.Sequential()
    if not setting.deep:
        width, shape = 64, STEMS[stem]
        made.add_module(
            "conv",
            StdConv2d(in_channels, width, shape.kernel, shape.stride, shape.padding, gamma=gamma),
        )
        made.add_module("pool", stem_pool(stem))
        return made, width
    reduction, width = STEMS[stem].reduction, in_channels
    strides = (min(reduction, 2), 1, 1, 2 if reduction == 4 else 1)
    for i, (out, stride) in enumerate(zip((16, 32, 64, 128), strides, strict=True), start=1):
        if i > 1:
            made.add_module(f"act{i}", act())
        made.add_module(f"conv{i}", StdConv2d(width, out, 3, stride, 1, gamma=gamma))
        width = out
    return made, width
