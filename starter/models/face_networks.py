"""Face networks with PReLU: iResNet and MobileFaceNet.

iResNet (Duta et al. 2020; Deng et al. 2019, ArcFace) has a BatchNorm at both ends of each branch,
no max-pool, no activation after the sum. MobileFaceNet (Chen et al. 2018) is MobileNetV2's block,
sized for faces. Shapes: B batch, C H W image or feature map.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from starter.models.blocks import (
    Backbone,
    Block,
    block_shapes,
    conv,
    init_fan_out,
    shortcut,
    zero_last_scales,
)
from starter.models.layers import BranchEnds, Regularise, stem_conv, stem_pool

WIDTHS = (64, 128, 256, 512)


class IBasicBlock(Block):
    """BatchNorm, 3x3, BatchNorm, PReLU, 3x3/stride, BatchNorm:
    (B, channels_in, H, W) -> (B, width, H/stride, W/stride)."""

    LAST_SCALE = "bn3.weight"

    def __init__(self, channels_in: int, width: int, stride: int, end: nn.Module):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = conv(channels_in, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = conv(width, width, 3, stride)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = shortcut(channels_in, width, stride)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.end(self.bn3(self.conv2(y))) + self.downsample(x)


@dataclass(frozen=True)
class IResNetSetting:
    """depths: blocks per stage. pool: see layers.py."""

    depths: tuple[int, ...]
    pool: str = "flatten"


IRESNETS = {
    "iresnet18": IResNetSetting((2, 2, 2, 2)),  # 11.2 M, and 12.8 M in a 512-D neck at 112 px
    "iresnet34": IResNetSetting((3, 4, 6, 3)),  # 21.3 M
    "iresnet50": IResNetSetting((3, 4, 14, 3)),  # 30.8 M
    "iresnet100": IResNetSetting((3, 13, 30, 3)),  # 52.3 M
    # The deepest with 512-D and 8,631 classes under 30 M: one block less at 7x7 than iresnet50,
    # an average in place of 12.8 M in the neck.
    "iresnet_30m": IResNetSetting((3, 4, 13, 2), pool="avg"),
}


class IResNet(Backbone):
    """image_BCHW -> feature_BF. State-dict keys are insightface's."""

    STEMS_BY_COST = ("3x3/1",)

    def __init__(
        self, setting: IResNetSetting, *, in_channels: int, stem: str, regularise: Regularise
    ):
        super().__init__(stem)
        width = WIDTHS[0]
        self.conv1 = stem_conv(in_channels, width, stem)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.stem_pool = stem_pool(stem)
        ends = BranchEnds(regularise, setting.depths)
        self.stages: list[str] = []
        for shapes in block_shapes(width, WIDTHS, setting.depths, (2, 2, 2, 2)):
            self.stages.append(f"layer{len(self.stages) + 1}")
            blocks = [IBasicBlock(*shape, ends(shape[1])) for shape in shapes]
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
        width = WIDTHS[-1]
        self.bn2 = nn.BatchNorm2d(width)
        self.num_features = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # the BatchNorm after each makes its scale free
                nn.init.normal_(module.weight, 0, 0.1)
        if regularise.zero_init_last:
            zero_last_scales(self)

    def features(self, image_BCHW: Tensor) -> Tensor:
        x = self.stem_pool(self.prelu(self.bn1(self.conv1(image_BCHW))))
        x = self.through(map(self.get_submodule, self.stages), x)
        return self.bn2(x)


def conv_norm(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1):
    """Convolution, BatchNorm, PReLU with a slope per channel."""
    return nn.Sequential(
        conv(channels_in, channels_out, kernel, stride, groups),
        nn.BatchNorm2d(channels_out),
        nn.PReLU(channels_out),
    )


class FaceBlock(Block):
    """1x1 to `expansion` times the channels, depthwise 3x3, 1x1 back without activation."""

    LAST_SCALE = "bn.weight"

    def __init__(self, channels_in: int, out: int, stride: int, expansion: int, end: nn.Module):
        super().__init__()
        self.residual = stride == 1 and channels_in == out
        inner = channels_in * expansion
        self.expand = conv_norm(channels_in, inner, 1)
        self.depthwise = conv_norm(inner, inner, 3, stride, inner)
        self.project = conv(inner, out, 1)
        self.bn = nn.BatchNorm2d(out)
        self.end = end if self.residual else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.project(self.depthwise(self.expand(x))))
        return self.end(y) + x if self.residual else y


# The paper's table 1, 0.99 M with a 128-D neck at 112 px: (expansion, channels, blocks, stride of
# the first) of each stage, and the channels of the last 1x1.
MOBILEFACENETS = {
    "mobilefacenet": (
        ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)),
        512,
    )
}


class MobileFaceNet(Backbone):
    """image_BCHW -> feature_BF."""

    REDUCTION = 8
    POOL = "depthwise"

    def __init__(
        self,
        setting: tuple[tuple[tuple[int, int, int, int], ...], int],
        *,
        in_channels: int,
        stem: str,
        regularise: Regularise,
    ):
        super().__init__(stem)
        stages, self.num_features = setting
        width = 64
        self.conv_stem = stem_conv(in_channels, width, stem)
        self.bn_stem = nn.BatchNorm2d(width)
        self.act_stem = nn.PReLU(width)
        self.stem_pool = stem_pool(stem)
        self.depthwise = conv_norm(width, width, 3, 1, width)
        expansions, widths, depths, strides = zip(*stages, strict=True)
        ends = BranchEnds(regularise, depths)
        self.blocks = nn.Sequential(
            *[
                FaceBlock(*shape, expansion, ends(shape[1]))
                for expansion, shapes in zip(
                    expansions, block_shapes(width, widths, depths, strides), strict=True
                )
                for shape in shapes
            ]
        )
        self.head = conv_norm(widths[-1], self.num_features, 1)
        init_fan_out(self, groups=True)
        if regularise.zero_init_last:
            zero_last_scales(self)

    def features(self, image_BCHW: Tensor) -> Tensor:
        x = self.stem_pool(self.act_stem(self.bn_stem(self.conv_stem(image_BCHW))))
        return self.head(self.through(self.blocks, self.depthwise(x)))
