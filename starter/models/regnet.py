"""RegNetX and RegNetY (Radosavovic et al. 2020): widths that grow along a line, grouped 3x3s.

Shapes: B batch, C H W image or feature map.
"""

import math
from dataclasses import dataclass

from timm.layers import SEModule
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

STEM_WIDTH = 32


class ConvNorm(nn.Module):
    """Convolution, BatchNorm, ReLU or not."""

    def __init__(self, channels_in: int, out: int, kernel: int, stride=1, groups=1, act=True):
        super().__init__()
        self.conv = conv(channels_in, out, kernel, stride, groups)
        self.bn = nn.BatchNorm2d(out)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class RegNetBlock(Block):
    """1x1, grouped 3x3/stride, gate (Y only), 1x1, all of one width:
    (B, channels_in, H, W) -> (B, width, H/stride, W/stride)."""

    LAST_SCALE = "conv3.bn.weight"

    def __init__(
        self, channels_in: int, width: int, stride: int, group: int, se: bool, end: nn.Module
    ):
        super().__init__()
        self.conv1 = ConvNorm(channels_in, width, 1)
        self.conv2 = ConvNorm(width, width, 3, stride, width // group)
        self.se = SEModule(width, rd_channels=round(channels_in / 4)) if se else nn.Identity()
        self.conv3 = ConvNorm(width, width, 1, act=False)
        same = stride == 1 and channels_in == width
        self.downsample = (
            nn.Identity() if same else ConvNorm(channels_in, width, 1, stride, act=False)
        )
        self.end = end
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.se(self.conv2(self.conv1(x))))
        return self.act(self.end(y) + self.downsample(x))


@dataclass(frozen=True)
class Setting:
    """The paper's parameters: block i of `depth` is to be w0 + wa * i wide, and is so rounded
    that widths step by powers of wm. group: channels of a group of the 3x3. se: RegNetY."""

    w0: int
    wa: float
    wm: float
    group: int
    depth: int
    se: bool = False

    def stages(self) -> list[tuple[int, int, int]]:
        """(width, group, blocks) of each stage (the paper's eqs. 2 to 4)."""
        widths = []
        for i in range(self.depth):
            power = round(math.log((self.w0 + self.wa * i) / self.w0) / math.log(self.wm))
            widths.append(round(self.w0 * self.wm**power / 8) * 8)
        stages = []
        for width in sorted(set(widths)):
            group = min(self.group, width)
            stages.append((round(width / group) * group, group, widths.count(width)))
        return stages


SETTINGS = {
    "regnetx_002": Setting(24, 36.44, 2.49, 8, 13),  # 2.3 M
    "regnetx_004": Setting(24, 24.48, 2.54, 16, 22),
    "regnetx_006": Setting(48, 36.97, 2.24, 24, 16),
    "regnetx_008": Setting(56, 35.73, 2.28, 16, 16),
    "regnetx_016": Setting(80, 34.01, 2.25, 24, 18),
    "regnetx_032": Setting(88, 26.31, 2.25, 48, 25),  # 14.3 M
    "regnety_002": Setting(24, 36.44, 2.49, 8, 13, se=True),  # 2.8 M
    "regnety_004": Setting(48, 27.89, 2.09, 8, 16, se=True),
    "regnety_006": Setting(48, 32.54, 2.32, 16, 15, se=True),
    "regnety_008": Setting(56, 38.84, 2.4, 16, 14, se=True),
    "regnety_016": Setting(48, 20.71, 2.65, 24, 27, se=True),
    "regnety_032": Setting(80, 42.63, 2.66, 24, 21, se=True),  # 17.9 M
}


class RegNet(Backbone):
    """image_BCHW -> feature_BF. State-dict keys are timm's."""

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(stem)
        self.stem = ConvNorm(in_channels, STEM_WIDTH, 3)
        self.stem.conv = stem_conv(in_channels, STEM_WIDTH, stem)
        self.stem_pool = stem_pool(stem)
        widths, groups, depths = zip(*setting.stages(), strict=True)
        ends = BranchEnds(regularise, depths)
        self.stages: list[str] = []
        of_stages = block_shapes(STEM_WIDTH, widths, depths, [2] * len(depths))
        for group, shapes in zip(groups, of_stages, strict=True):
            stage = nn.Sequential()
            for shape in shapes:
                block = RegNetBlock(*shape, group, setting.se, ends(shape[1]))
                stage.add_module(f"b{len(stage) + 1}", block)
            self.stages.append(f"s{len(self.stages) + 1}")
            self.add_module(self.stages[-1], stage)
        self.num_features = widths[-1]
        init_fan_out(self, groups=True)
        if regularise.zero_init_last is not False:
            zero_last_scales(self)

    def features(self, image_BCHW: Tensor) -> Tensor:
        x = self.stem_pool(self.stem(image_BCHW))
        return self.through(map(self.get_submodule, self.stages), x)
