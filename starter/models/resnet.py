"""ResNets: plain, -D, ResNeXt, SE-ResNet and ResNeSt are settings of three blocks.

He et al. 2015 (resnet*), He et al. 2019 (resnet*d), Xie et al. 2017 (resnext*), Hu et al. 2018
(seresnet*), Zhang et al. 2020 (resnest*: a ResNet-D whose 3x3 is two convolutions, mixed channel by
channel). Shapes: B batch, C H W image or feature map, R radix, F features after pooling.
"""

from dataclasses import dataclass
from typing import Any

from timm.layers import make_divisible
from torch import Tensor, nn

from starter.models.blocks import (
    Backbone,
    BasicBlock,
    Block,
    Bottleneck,
    block_shapes,
    conv,
    zero_last_scales,
)
from starter.models.layers import STEMS, BranchEnds, Regularise, stem_conv, stem_pool

RADIX = 2


class SplitAttn(nn.Module):
    """A 3x3 with RADIX outputs per channel, weighted by a softmax over them that the means of all
    channels decide: a gate, no position looks at another."""

    def __init__(self, channels: int):
        super().__init__()
        squeezed = max(32, make_divisible(channels * RADIX / 4))
        self.conv = conv(channels, channels * RADIX, 3, groups=RADIX)
        self.bn0 = nn.BatchNorm2d(channels * RADIX)
        self.act = nn.ReLU(inplace=True)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.bn1 = nn.BatchNorm2d(squeezed)
        self.fc2 = nn.Conv2d(squeezed, channels * RADIX, 1)

    def forward(self, x: Tensor) -> Tensor:
        x_BRCHW = self.act(self.bn0(self.conv(x))).unflatten(1, (RADIX, -1))
        mean = x_BRCHW.sum(1).mean((2, 3), keepdim=True)
        gate = self.fc2(self.act(self.bn1(self.fc1(mean))))
        weight_BRC11 = gate.unflatten(1, (RADIX, -1)).softmax(1)
        return (x_BRCHW * weight_BRC11.to(x_BRCHW.dtype)).sum(1)


class SplitBottleneck(Bottleneck):
    """Bottleneck with a split 3x3, which a 3x3/2 average follows where the block strides."""

    def __init__(self, channels_in: int, width: int, stride: int, end: nn.Module, **unused):
        super().__init__(channels_in, width, stride, end, averaged=True)
        self.conv2, self.bn2 = SplitAttn(width), nn.Identity()  # it has its own norm
        self.average = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()

    def spatial(self, x: Tensor) -> Tensor:
        return self.average(self.conv2(x))


@dataclass(frozen=True)
class Setting:
    """What distinguishes one ResNet from another.

    block, depths, widths: the block, how many per stage, how wide. groups, base_width: see
    Bottleneck. deep: ResNet-D's three 3x3 in the stem and averages in the shortcuts. se: a gate
    at the end of each branch. stem_width: channels after the stem where they are not widths[0].
    """

    block: type[Block]
    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512)
    groups: int = 1
    base_width: int = 64
    deep: bool = False
    se: bool = False
    stem_width: int | None = None


SMALL = (32, 64, 128, 256)
SETTINGS = {
    # 1.23 M parameters: the demo's, quick on a CPU. Not timm's resnet10t.
    "resnet10_small": Setting(BasicBlock, (1, 1, 1, 1), SMALL),
    "resnet18_small": Setting(BasicBlock, (2, 2, 2, 2), SMALL),  # 2.8 M
    "resnet18": Setting(BasicBlock, (2, 2, 2, 2)),  # 11.2 M
    "resnet34": Setting(BasicBlock, (3, 4, 6, 3)),  # 21.3 M
    "resnet50": Setting(Bottleneck, (3, 4, 6, 3)),  # 23.5 M
    "resnet101": Setting(Bottleneck, (3, 4, 23, 3)),  # 42.5 M
    "resnet152": Setting(Bottleneck, (3, 8, 36, 3)),  # 58.1 M
    "resnet18d": Setting(BasicBlock, (2, 2, 2, 2), deep=True),
    "resnet34d": Setting(BasicBlock, (3, 4, 6, 3), deep=True),
    "resnet50d": Setting(Bottleneck, (3, 4, 6, 3), deep=True),
    "resnet101d": Setting(Bottleneck, (3, 4, 23, 3), deep=True),
    "resnet152d": Setting(Bottleneck, (3, 8, 36, 3), deep=True),
    "resnext50_32x4d": Setting(Bottleneck, (3, 4, 6, 3), groups=32, base_width=4),  # 23.0 M
    "resnext101_32x4d": Setting(Bottleneck, (3, 4, 23, 3), groups=32, base_width=4),  # 42.1 M
    "seresnet18": Setting(BasicBlock, (2, 2, 2, 2), se=True),
    "seresnet34": Setting(BasicBlock, (3, 4, 6, 3), se=True),
    "seresnet50": Setting(Bottleneck, (3, 4, 6, 3), se=True),  # 26.0 M
    "seresnet101": Setting(Bottleneck, (3, 4, 23, 3), se=True),
    "seresnet152": Setting(Bottleneck, (3, 8, 36, 3), se=True),
    "resnest14d": Setting(SplitBottleneck, (1, 1, 1, 1), deep=True),  # 8.6 M
    "resnest26d": Setting(SplitBottleneck, (2, 2, 2, 2), deep=True),  # 15.0 M
    "resnest50d": Setting(SplitBottleneck, (3, 4, 6, 3), deep=True),  # 25.4 M
    "resnest101e": Setting(SplitBottleneck, (3, 4, 23, 3), deep=True, stem_width=128),  # 46.2 M
}


class ResNet(Backbone):
    """image_BCHW float (C = in_channels) -> feature_BF float32. State-dict keys are timm's."""

    STEMS_BY_COST = ("7x7/2", "3x3/2", "3x3/1")
    REDUCTION = 8

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(stem)
        width = setting.stem_width or setting.widths[0]
        if setting.deep:
            self.conv1: nn.Module = deep_stem(in_channels, width, stem)
            # After three 3x3 of stride 2 at most, a max-pool does the rest of a reduction by 4.
            self.maxpool = stem_pool("7x7/2" if STEMS[stem].reduction == 4 else stem)
        else:
            self.conv1 = stem_conv(in_channels, width, stem)
            self.maxpool = stem_pool(stem)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)

        ends = BranchEnds(regularise, setting.depths)
        expansion = setting.block.expansion
        outputs = [expansion * w for w in setting.widths]
        options: dict[str, Any] = {"averaged": setting.deep, "se": setting.se}
        if setting.block is not BasicBlock:  # only bottlenecks are grouped
            options |= {"groups": setting.groups, "base_width": setting.base_width}
        self.stages: list[str] = []
        for shapes in block_shapes(width, outputs, setting.depths, (1, 2, 2, 2)):
            self.stages.append(f"layer{len(self.stages) + 1}")
            blocks = [
                setting.block(before, out // expansion, stride, ends(out), **options)
                for before, out, stride in shapes
            ]
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
        self.num_features = outputs[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if regularise.zero_init_last is not False:
            zero_last_scales(self)

    def features(self, image_BCHW: Tensor) -> Tensor:
        x = self.maxpool(self.act(self.bn1(self.conv1(image_BCHW))))
        return self.through(map(self.get_submodule, self.stages), x)


def deep_stem(in_channels: int, width: int, stem: str) -> nn.Sequential:
    """Three 3x3 in place of the 7x7 (He et al. 2019, figure 2b), of the stem's reduction."""
    half = width // 2
    return nn.Sequential(
        conv(in_channels, half, 3, min(2, STEMS[stem].reduction)),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        conv(half, half, 3),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        conv(half, width, 3),
    )
