"""The first layer: it decides up to 15 times the compute, since every stage after it divides.

Shapes: B batch, C H W image.
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Stem:
    """A convolution and perhaps a 3x3/2 max-pool; `reduction` pixels of the image become one."""

    kernel: int
    stride: int
    pool: bool = False

    @property
    def padding(self) -> int:
        """None for patches, which meet without overlap."""
        return 0 if self.kernel == self.stride else self.kernel // 2

    @property
    def reduction(self) -> int:
        return self.stride * (2 if self.pool else 1)


# A deep stem (ResNet-D, ResNeSt, NFNet-F: three or four 3x3) takes only `reduction` from its name.
STEMS = {
    "7x7/2": Stem(7, 2, pool=True),
    "3x3/2": Stem(3, 2),
    "3x3/1": Stem(3, 1),
    "4x4/4": Stem(4, 4),
    "2x2/2": Stem(2, 2),
}


def choose(stems: tuple[str, ...], reduction: int, smallest: float, image_size: int) -> str:
    """The first of `stems`, coarsest first, that leaves a last map of more than `smallest` pixels.

    reduction: of all the stages after the stem. Measured for resnet18, where it is 8 and the map
    has to be more than 1.5 (GMAC an image; images/s of training on 2 CPU cores, bf16,
    channels_last, batch 64; last map):

        pixels   7x7/2                  3x3/2                  3x3/1
            28   0.034   608   1x1      0.122   316   2x2      0.457   123   4x4
            32   0.037   606   1x1      0.139   301   2x2      0.555    91   4x4
            64   0.148   276   2x2      0.555    95   4x4      2.222     -   8x8
           112   0.485    99   4x4      1.701     -   7x7      6.804     -  14x14

    So: the coarsest stem that leaves at least a 2x2 last map. A finer one is a key away where
    the device can afford four times the work.
    """
    for name in stems:
        if image_size / (STEMS[name].reduction * reduction) > smallest:
            return name
    return stems[-1]


def stem_conv(in_channels: int, width: int, stem: str, *, bias: bool = False) -> nn.Conv2d:
    """The stem's convolution."""
    shape = STEMS[stem]
    return nn.Conv2d(in_channels, width, shape.kernel, shape.stride, shape.padding, bias=bias)


def stem_pool(stem: str) -> nn.Module:
    """The stem's max-pool, or nothing."""
    return nn.MaxPool2d(3, stride=2, padding=1) if STEMS[stem].pool else nn.Identity()
