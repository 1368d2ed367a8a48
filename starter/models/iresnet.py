"""iResNet, the face networks' ResNet (Duta et al. 2020; Deng et al. 2019, ArcFace): PReLU, a
BatchNorm at both ends of each branch, no max-pool, no activation after the sum.

Shapes: B batch, C H W image or feature map.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from starter.models.blocks import Backbone, conv, shortcut, zero_last_scales
from starter.models.regularise import BranchEnds, Regularise
from starter.models.stems import stem_conv, stem_pool

WIDTHS = (64, 128, 256, 512)


class IBasicBlock(nn.Module):
    """BatchNorm, 3x3, BatchNorm, PReLU, 3x3/stride, BatchNorm:
    (B, channels_in, H, W) -> (B, width, H/stride, W/stride)."""

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

    @property
    def last_scale(self) -> nn.Parameter:
        return self.bn3.weight

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.end(self.bn3(self.conv2(x))) + shortcut


@dataclass(frozen=True)
class Setting:
    """depths: blocks per stage. pool: see necks.py."""

    depths: tuple[int, ...]
    pool: str = "flatten"


SETTINGS = {
    "iresnet18": Setting((2, 2, 2, 2)),  # 11.2 M, and 12.8 M in a 512-D neck at 112 px
    "iresnet34": Setting((3, 4, 6, 3)),  # 21.3 M
    "iresnet50": Setting((3, 4, 14, 3)),  # 30.8 M
    "iresnet100": Setting((3, 13, 30, 3)),  # 52.3 M
    # The deepest with 512-D and 8,631 classes under 30 M: one block less at 7x7 than iresnet50,
    # an average in place of 12.8 M in the neck.
    "iresnet_30m": Setting((3, 4, 13, 2), pool="avg"),
}


class IResNet(Backbone):
    """image_BCHW -> feature_BF. State-dict keys are insightface's."""

    STEMS_BY_COST = ("3x3/1",)

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(stem)
        width = WIDTHS[0]
        self.conv1 = stem_conv(in_channels, width, stem)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.stem_pool = stem_pool(stem)
        ends = BranchEnds(regularise, setting.depths)
        self.stages = []
        for number, (out, depth) in enumerate(zip(WIDTHS, setting.depths, strict=True), start=1):
            blocks = []
            for i in range(depth):
                blocks.append(IBasicBlock(width, out, 2 if i == 0 else 1, ends(out)))
                width = out
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            self.stages.append(f"layer{number}")
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
