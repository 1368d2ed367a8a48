"""ResNeSt (Zhang et al. 2020): ResNet-D whose 3x3 is two convolutions, mixed channel by channel.

Shapes: B batch, R radix, C H W feature map.
"""

from timm.layers import make_divisible
from torch import Tensor, nn

from starter.models.blocks import Bottleneck, conv
from starter.models.resnet import ResNet, Setting

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


SETTINGS = {
    "resnest14d": Setting(SplitBottleneck, (1, 1, 1, 1), deep=True),  # 8.6 M
    "resnest26d": Setting(SplitBottleneck, (2, 2, 2, 2), deep=True),  # 15.0 M
    "resnest50d": Setting(SplitBottleneck, (3, 4, 6, 3), deep=True),  # 25.4 M
    "resnest101e": Setting(SplitBottleneck, (3, 4, 23, 3), deep=True, stem_width=128),  # 46.2 M
}


class ResNeSt(ResNet):
    """image_BCHW -> feature_BF. State-dict keys are timm's."""
