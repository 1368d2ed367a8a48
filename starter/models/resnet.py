"""ResNets from torch.nn only: plain, -D, ResNeXt and SE-ResNet are settings of two blocks.

He et al. 2015 (resnet*), He et al. 2019 (resnet*d), Xie et al. 2017 (resnext*), Hu et al. 2018
(seresnet*). Shapes: B batch, C H W image or feature map, F features after pooling.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from starter.models.blocks import Backbone, BasicBlock, Block, Bottleneck, conv, zero_last_scales
from starter.models.regularise import BranchEnds, Regularise
from starter.models.stems import STEMS, stem_conv, stem_pool


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
            self.maxpool = _deep_pool(stem)
        else:
            self.conv1 = stem_conv(in_channels, width, stem)
            self.maxpool = stem_pool(stem)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)

        ends = BranchEnds(regularise, setting.depths)
        outputs = [width] + [w * setting.block.expansion for w in setting.widths]
        stages = zip(pairwise(outputs), setting.widths, setting.depths, strict=True)
        options: dict[str, Any] = {"averaged": setting.deep, "se": setting.se}
        if setting.block is not BasicBlock:  # only bottlenecks are grouped
            options |= {"groups": setting.groups, "base_width": setting.base_width}
        for number, ((channels_in, channels_out), width, depth) in enumerate(stages, start=1):
            blocks = []
            for i in range(depth):
                stride = 2 if i == 0 and number > 1 else 1
                before = channels_in if i == 0 else channels_out
                blocks.append(setting.block(before, width, stride, ends(channels_out), **options))
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.stages = [f"layer{number}" for number in range(1, len(setting.depths) + 1)]
        self.num_features = outputs[-1]
        self._initialise(regularise.zero_init_last is not False)

    def _initialise(self, zero_init_last: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_last:
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


def _deep_pool(stem: str) -> nn.Module:
    return nn.MaxPool2d(3, 2, padding=1) if STEMS[stem].reduction == 4 else nn.Identity()
