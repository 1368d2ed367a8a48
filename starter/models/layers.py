"""Layers that any family is built with: the first one, what ends a residual branch, the pooling
of the last map, and the neck.

Shapes: B batch, C H W image or feature map, F features, D embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from starter.errors import UserError

POOLS = ("avg", "gem", "flatten", "depthwise")
BLOCK_SIZE = 7  # DropBlock's on the paper's maps of 14x14 and more


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


class Drop(nn.Module):
    """What the two below share: their rate, shown where a network is printed."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"


class DropPath(Drop):
    """Stochastic depth (Huang et al. 2016): drops a residual branch for whole images.

    While training, each image's branch is zero with probability `rate` and is otherwise divided
    by 1 - rate, so that its expectation stays; in evaluation nothing happens. Any (B, ...) float
    tensor; 0 <= rate < 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = 1.0 - self.rate
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) < keep
        return x.div(keep) * kept


def block_size(side: int) -> int:
    """DropBlock's square on a map of `side` pixels: half of it, at most 7 (of 14x14, as published).

    The paper's 7 would leave nothing of the 2x2 to 7x7 maps that small images end in.
    """
    return max(1, min(BLOCK_SIZE, side // 2))


def spread(seed_B1HW: Tensor, size: int) -> Tensor:
    """Squares of `size` whose top left corners are the seeds: 1 inside one of them, else 0."""
    return F.max_pool2d(F.pad(seed_B1HW, (size - 1, 0, size - 1, 0)), size, stride=1)


class DropBlock(Drop):
    """DropBlock (Ghiasi et al. 2018): zeroes squares of the map, in every channel at once.

    While training, a square starts at each place where a whole one fits with probability gamma
    (the paper's eq. 1), so that about `rate` of the map is dropped (less where squares overlap);
    what stays is scaled so that the batch's sum of the mask stays. In evaluation nothing happens.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        height, width = x.shape[-2:]
        size = block_size(min(height, width))
        places = (height - size + 1) * (width - size + 1)
        gamma = self.rate * height * width / size**2 / places
        fits = (len(x), 1, height - size + 1, width - size + 1)
        seed = (torch.rand(fits, device=x.device) < gamma).float()
        kept = 1 - spread(F.pad(seed, (0, size - 1, 0, size - 1)), size)
        return x * (kept * (kept.numel() / kept.sum().clamp(min=1))).to(x.dtype)


class LayerScale(nn.Module):
    """A factor per channel, trained, that starts small (Touvron et al. 2021, CaiT, eq. 4)."""

    def __init__(self, channels: int, start: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None].to(x.dtype)


@dataclass(frozen=True)
class Regularise:
    """The recipe's keys. None stands for what the family's paper does.

    drop_path: the stochastic depth rate of the last block, growing linearly from 0 at the first.
    drop_block: DropBlock's rate, in the last two stages. layer_scale: its first value, 0 for none.
    zero_init_last: whether the last BatchNorm of a branch starts at 0.
    """

    drop_path: float = 0.0
    drop_block: float = 0.0
    layer_scale: float | None = None
    zero_init_last: bool | None = None


class BranchEnds:
    """Makes what each residual branch ends in, called once a block from the first to the last."""

    def __init__(self, regularise: Regularise, depths: Sequence[int]):
        self.regularise = regularise
        self.rates = torch.linspace(0, regularise.drop_path, sum(depths), device="cpu").tolist()
        self.first_dropped = sum(depths[:-2])
        self.made = 0

    def __call__(self, channels: int) -> nn.Module:
        keys, number = self.regularise, self.made
        self.made += 1
        end: list[nn.Module] = []
        if keys.layer_scale:
            end.append(LayerScale(channels, keys.layer_scale))
        if keys.drop_block and number >= self.first_dropped:
            end.append(DropBlock(keys.drop_block))
        if self.rates[number]:
            end.append(DropPath(self.rates[number]))
        return nn.Sequential(*end) if end else nn.Identity()


def wide(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if they already are."""
    return x if x.dtype == torch.float64 else x.float()


class Average(nn.Module):
    """map_BFHW -> feature_BF, in float32 under autocast too."""

    def forward(self, map_BFHW: Tensor) -> Tensor:
        return wide(map_BFHW).mean((2, 3))


class GeM(nn.Module):
    """Generalised mean (Radenovic et al. 2018): (mean x^p)^(1/p), p trained, in float32.

    p = 1 is the average of the positive parts, p = inf their maximum.
    """

    def __init__(self, p: float = 3.0, floor: float = 1e-6):
        super().__init__()
        self.p = nn.Parameter(torch.tensor([p]))
        self.floor = floor

    def forward(self, map_BFHW: Tensor) -> Tensor:
        return wide(map_BFHW).clamp(min=self.floor).pow(self.p).mean((2, 3)).pow(1 / self.p)


class Flatten(nn.Module):
    """map_BFHW -> feature_B(FHW): every place keeps its own weights, as in face networks.

    For aligned faces, where a place always shows the same part. One image size only.
    """

    def forward(self, map_BFHW: Tensor) -> Tensor:
        return wide(map_BFHW).contiguous().flatten(1)  # the same order in either memory format


class Depthwise(nn.Module):
    """A weight per channel and place (MobileFaceNet's global depthwise convolution) + BatchNorm."""

    def __init__(self, features: int, height: int, width: int):
        super().__init__()
        self.conv = nn.Conv2d(features, features, (height, width), groups=features, bias=False)
        self.bn = nn.BatchNorm2d(features)

    def forward(self, map_BFHW: Tensor) -> Tensor:
        return wide(self.bn(self.conv(map_BFHW))).flatten(1)


def make_pool(kind: str, shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    """The pooling module for a map of `shape` (F, H, W), and how many features it gives."""
    features, height, width = shape
    if kind == "avg":
        return Average(), features
    if kind == "gem":
        return GeM(), features
    if kind == "flatten":
        return Flatten(), features * height * width
    assert kind == "depthwise"
    return Depthwise(features, height, width), features


def _batch_norm_without_bias(width: int) -> nn.BatchNorm1d:
    """A shift would move the origin that cosines are measured from (Luo et al. 2019, BNNeck).

    No bias at all rather than a frozen one, which unfreezing a stage would set free.
    """
    norm = nn.BatchNorm1d(width)
    norm.register_parameter("bias", None)
    return norm


def make_neck(kind: str, features: int, embedding: int, dropout: float) -> nn.Module:
    """feature_BF -> emb_BD. kind: "linear", "bn" or "identity" (the latter two need D = F)."""
    if kind == "linear":
        linear = nn.Linear(features, embedding, bias=False)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="linear")
        return nn.Sequential(nn.Dropout(dropout), linear, _batch_norm_without_bias(embedding))
    if embedding != features:
        raise UserError(
            f"model.embedding: neck {kind!r} keeps the backbone's {features} features, "
            f"so embedding must be {features}, not {embedding} (or use neck: linear)"
        )
    if kind == "identity":
        if dropout:
            raise UserError(f"model.dropout: {dropout} has nothing to precede in neck 'identity'")
        return nn.Identity()
    norm = _batch_norm_without_bias(features)
    return nn.Sequential(nn.Dropout(dropout), norm) if dropout else norm
