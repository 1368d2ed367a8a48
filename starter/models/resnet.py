"""ResNets (He et al. 2015) from torch.nn only: image_BCHW -> feature_BF.

Shapes: B batch, C H W image or feature map, F features after pooling.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from starter.models.blocks import BasicBlock, Bottleneck, wide


@dataclass(frozen=True)
class Setting:
    """What distinguishes one ResNet from another: the block, how many per stage, how wide."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512)


SETTINGS = {
    # 1.23 M parameters: the demo's, quick on a CPU. Not timm's resnet10t.
    "resnet10_small": Setting(BasicBlock, (1, 1, 1, 1), (32, 64, 128, 256)),
    "resnet18_small": Setting(BasicBlock, (2, 2, 2, 2), (32, 64, 128, 256)),  # 2.8 M
    "resnet18": Setting(BasicBlock, (2, 2, 2, 2)),  # 11.2 M
    "resnet34": Setting(BasicBlock, (3, 4, 6, 3)),  # 21.3 M
    "resnet50": Setting(Bottleneck, (3, 4, 6, 3)),  # 23.5 M
}

# name: (kernel and stride of the first convolution, whether a 3x3/2 max-pool follows)
STEMS = {"7x7/2": (7, 2, True), "3x3/2": (3, 2, False), "3x3/1": (3, 1, False)}


def choose_stem(image_size: int) -> str:
    """The stem that `stem: auto` means for square images of this many pixels.

    The later stages divide by 8; the stem divides by 4, 2 or 1 and so decides both the size of
    the last map and the cost. Measured for resnet18 (GMAC an image; images/s of training on 2 CPU
    cores, bf16, channels_last, batch 64; last map):

        pixels   7x7/2                  3x3/2                  3x3/1
            28   0.034   608   1x1      0.122   316   2x2      0.457   123   4x4
            32   0.037   606   1x1      0.139   301   2x2      0.555    91   4x4
            64   0.148   276   2x2      0.555    95   4x4      2.222     -   8x8
           112   0.485    99   4x4      1.701     -   7x7      6.804     -  14x14

    So: the coarsest stem that leaves at least a 2x2 last map. A finer one is a key away where
    the device can afford four times the work.
    """
    if image_size > 48:
        return "7x7/2"
    return "3x3/2" if image_size > 24 else "3x3/1"


class ResNet(nn.Module):
    """image_BCHW float (C = in_channels) -> feature_BF float32, F = `num_features`.

    stem: a key of STEMS. drop_path: the stochastic depth rate at the last block, growing
    linearly from 0 at the first (Huang et al. 2016). State-dict keys are timm's.
    """

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, drop_path: float = 0.0):
        super().__init__()
        kernel, stride, pool = STEMS[stem]
        self.stem = stem
        width = setting.widths[0]
        self.conv1 = nn.Conv2d(in_channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if pool else nn.Identity()

        rates = torch.linspace(0, drop_path, sum(setting.depths)).tolist()
        outputs = [width] + [w * setting.block.expansion for w in setting.widths]
        stages = zip(pairwise(outputs), setting.widths, setting.depths, strict=True)
        for number, ((channels_in, channels_out), width, depth) in enumerate(stages, start=1):
            blocks = [
                setting.block(
                    channels_in if i == 0 else channels_out,
                    width,
                    stride=2 if i == 0 and number > 1 else 1,
                    drop_path=rates.pop(0),
                )
                for i in range(depth)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.stages = [f"layer{number}" for number in range(1, len(setting.depths) + 1)]
        self.num_features = outputs[-1]
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (BasicBlock, Bottleneck)):
                # Every block starts as the identity (Goyal et al. 2017, 5.1).
                nn.init.zeros_(module.last_norm.weight)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x = self.maxpool(self.act(self.bn1(self.conv1(image_BCHW))))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return wide(x).mean((2, 3))  # averaged in float32 under autocast too
