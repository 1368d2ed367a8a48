"""EfficientNet (Tan & Le 2019): gated inverted residuals, depth and width scaled together.

Shapes: B batch, C H W feature map.
"""

import math

from timm.layers import make_divisible
from torch import Tensor, nn

from starter.models.mobilenet import Inverted
from starter.models.regularise import Regularise

# (blocks, kernel, stride of the first, channels) a stage of B0
STAGES = (
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (2, 5, 2, 40),
    (3, 3, 2, 80),
    (3, 5, 1, 112),
    (4, 5, 2, 192),
    (1, 3, 1, 320),
)
SETTINGS = {  # factors on (width, depth)
    "efficientnet_b0": (1.0, 1.0),  # 4.0 M
    "efficientnet_b1": (1.0, 1.1),  # 6.5 M
    "efficientnet_b2": (1.1, 1.2),  # 7.7 M
    "efficientnet_b3": (1.2, 1.4),  # 10.7 M
}


def silu() -> nn.Module:
    return nn.SiLU(inplace=True)


class Gate(nn.Module):
    """Squeeze-and-excitation to a quarter of the block's channels in, not of those gated."""

    def __init__(self, channels: int, block_in: int):
        super().__init__()
        squeezed = round(block_in / 4)
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = silu()
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.conv_expand(self.act(self.conv_reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class EfficientNet(Inverted):
    """image_BCHW -> feature_BF. State-dict keys are timm's."""

    def __init__(
        self, setting: tuple[float, float], *, in_channels: int, stem: str, regularise: Regularise
    ):
        wider, deeper = setting
        super().__init__(
            tuple(
                (math.ceil(n * deeper), k, s, make_divisible(wider * w)) for n, k, s, w in STAGES
            ),
            in_channels=in_channels,
            stem=stem,
            stem_width=make_divisible(wider * 32),
            head=make_divisible(wider * 1280),
            act=silu,
            gate=Gate,
            regularise=regularise,
        )
