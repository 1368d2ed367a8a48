"""Two small networks without shortcuts: where to start reading, and a baseline to beat.

Shapes: B batch, C H W image or feature map.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from starter.errors import UserError
from starter.models.blocks import Backbone, conv
from starter.models.layers import Regularise, stem_conv, stem_pool


class Layer(NamedTuple):
    """A 3x3 convolution's channels and stride, and whether a 2x2 max-pool follows it."""

    width: int
    stride: int = 1
    pool: bool = False


@dataclass(frozen=True)
class Setting:
    """stem_width: channels of the first convolution. pooled: whether a 2x2 max-pool follows it.
    stems: see Backbone."""

    stem_width: int
    layers: tuple[Layer, ...]
    pooled: bool = False
    stems: tuple[str, ...] = ("7x7/2", "3x3/2", "3x3/1")


SETTINGS = {
    # the course's baseline: five convolutions, each but the first halves the map; 6.3 M
    "cnn5": Setting(64, (Layer(128, 2), Layer(256, 2), Layer(512, 2), Layer(1024, 2))),
    # the MNIST and CIFAR ArcFace report's: 0.3 M
    "cnn_64_256_64": Setting(64, (Layer(256, pool=True), Layer(64)), pooled=True, stems=("3x3/1",)),
}


class ConvLayer(nn.Module):
    """3x3 convolution, BatchNorm, ReLU, perhaps a 2x2 max-pool."""

    def __init__(self, channels_in: int, layer: Layer):
        super().__init__()
        self.conv = conv(channels_in, layer.width, 3, layer.stride)
        self.bn = nn.BatchNorm2d(layer.width)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2) if layer.pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.act(self.bn(self.conv(x))))


class Plain(Backbone):
    """image_BCHW -> feature_BF."""

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(stem)
        if regularise != Regularise():
            raise UserError(
                "model: a network without residual branches has no drop_path, drop_block, "
                "layer_scale or zero_init_last; leave them out"
            )
        width = setting.stem_width
        self.conv1 = stem_conv(in_channels, width, stem)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)
        pool = nn.MaxPool2d(2) if setting.pooled else nn.Identity()
        self.stem_pool = nn.Sequential(stem_pool(stem), pool)
        layers = []
        for layer in setting.layers:
            layers.append(ConvLayer(width, layer))
            width = layer.width
        self.layers = nn.Sequential(*layers)
        self.num_features = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, image_BCHW: Tensor) -> Tensor:
        return self.through(self.layers, self.stem_pool(self.act(self.bn1(self.conv1(image_BCHW)))))
