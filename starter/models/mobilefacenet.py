"""MobileFaceNet (Chen et al. 2018): MobileNetV2's block with PReLU, sized for faces.

Shapes: B batch, C H W image or feature map.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from starter.models.blocks import Backbone, conv, init_fan_out, zero_last_scales
from starter.models.regularise import BranchEnds, Regularise
from starter.models.stems import stem_conv, stem_pool


def conv_norm(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1):
    """Convolution, BatchNorm, PReLU with a slope per channel."""
    return nn.Sequential(
        conv(channels_in, channels_out, kernel, stride, groups),
        nn.BatchNorm2d(channels_out),
        nn.PReLU(channels_out),
    )


class FaceBlock(nn.Module):
    """1x1 to `expansion` times the channels, depthwise 3x3, 1x1 back without activation."""

    def __init__(self, channels_in: int, out: int, stride: int, expansion: int, end: nn.Module):
        super().__init__()
        self.residual = stride == 1 and channels_in == out
        inner = channels_in * expansion
        self.expand = conv_norm(channels_in, inner, 1)
        self.depthwise = conv_norm(inner, inner, 3, stride, inner)
        self.project = conv(inner, out, 1)
        self.bn = nn.BatchNorm2d(out)
        self.end = end if self.residual else nn.Identity()

    @property
    def last_scale(self) -> nn.Parameter | None:
        return self.bn.weight if self.residual else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.project(self.depthwise(self.expand(x))))
        return self.end(y) + x if self.residual else y


@dataclass(frozen=True)
class Setting:
    """stages: (expansion, channels, blocks, stride of the first) of each. head: the last 1x1's."""

    stages: tuple[tuple[int, int, int, int], ...]
    head: int = 512


SETTINGS = {  # the paper's table 1: 0.99 M with a 128-D neck at 112 px
    "mobilefacenet": Setting(
        ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
    )
}


class MobileFaceNet(Backbone):
    """image_BCHW -> feature_BF."""

    REDUCTION = 8
    POOL = "depthwise"

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(stem)
        width = 64
        self.conv_stem = stem_conv(in_channels, width, stem)
        self.bn_stem = nn.BatchNorm2d(width)
        self.act_stem = nn.PReLU(width)
        self.stem_pool = stem_pool(stem)
        self.depthwise = conv_norm(width, width, 3, 1, width)
        ends = BranchEnds(regularise, [depth for _, _, depth, _ in setting.stages])
        blocks = []
        for expansion, out, depth, stride in setting.stages:
            for i in range(depth):
                step = stride if i == 0 else 1
                blocks.append(FaceBlock(width, out, step, expansion, ends(out)))
                width = out
        self.blocks = nn.Sequential(*blocks)
        self.head = conv_norm(width, setting.head, 1)
        self.num_features = setting.head
        init_fan_out(self, groups=True)
        if regularise.zero_init_last:
            zero_last_scales(self)

    def features(self, image_BCHW: Tensor) -> Tensor:
        x = self.stem_pool(self.act_stem(self.bn_stem(self.conv_stem(image_BCHW))))
        return self.head(self.through(self.blocks, self.depthwise(x)))
