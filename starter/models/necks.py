"""From the last map to the embedding: pooling, then the neck.

Shapes: B batch, F features, H W map, D embedding.
"""

import torch
from torch import Tensor, nn

from starter.errors import UserError

POOLS = ("avg", "gem", "flatten", "depthwise")


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
