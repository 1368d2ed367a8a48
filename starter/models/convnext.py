"""ConvNeXt (Liu et al. 2022): a ResNet rebuilt with a transformer's habits, still convolutions.

Shapes: B batch, C H W image or feature map.
"""

from dataclasses import dataclass

import torch
from timm.layers import LayerNorm2d, Mlp
from torch import Tensor, nn

from starter.errors import UserError
from starter.models.blocks import Backbone
from starter.models.layers import BranchEnds, Flatten, Regularise, stem_conv, stem_pool

EPS = 1e-6  # of every LayerNorm


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, LayerNorm, Mlp, layer scale: (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int, scale: float, end: nn.Module):
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, EPS)
        self.mlp = Mlp(channels, 4 * channels)  # two 1x1 convolutions, GELU between
        self.gamma = nn.Parameter(torch.full((channels,), scale)) if scale else None
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        y_BHWC = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        if self.gamma is not None:
            y_BHWC = y_BHWC * self.gamma
        return self.end(y_BHWC.permute(0, 3, 1, 2)) + x


class Stage(nn.Module):
    """LayerNorm and a 2x2/2 convolution (not in the first stage), then blocks."""

    def __init__(
        self, channels_in: int, width: int, depth: int, first: bool, scale: float, ends: BranchEnds
    ):
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if not first:
            self.downsample = nn.Sequential(
                LayerNorm2d(channels_in, EPS), nn.Conv2d(channels_in, width, 2, 2)
            )
        self.blocks = nn.Sequential(
            *[ConvNeXtBlock(width, scale, ends(width)) for _ in range(depth)]
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


@dataclass(frozen=True)
class Setting:
    """depths, widths: blocks per stage and their channels."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]


TINY = (96, 192, 384, 768)
SETTINGS = {
    "convnext_atto": Setting((2, 2, 6, 2), (40, 80, 160, 320)),  # 3.4 M
    "convnext_femto": Setting((2, 2, 6, 2), (48, 96, 192, 384)),
    "convnext_pico": Setting((2, 2, 6, 2), (64, 128, 256, 512)),
    "convnext_nano": Setting((2, 2, 8, 2), (80, 160, 320, 640)),  # 15.0 M
    "convnext_tiny": Setting((3, 3, 9, 3), TINY),  # 27.8 M
    "convnext_small": Setting((3, 3, 27, 3), TINY),  # 49.5 M
    # convnext_tiny less three blocks: 512-D and 8,631 classes under 30 M
    "convnext_30m": Setting((3, 3, 6, 3), TINY),
}


class ConvNeXt(Backbone):
    """image_BCHW -> feature_BF. State-dict keys are timm's; the smaller ones' 1x1 convolutions are
    linear layers here (the same numbers, see `external.adapt`)."""

    STEMS_BY_COST = ("4x4/4", "2x2/2", "3x3/1")
    REDUCTION = 8
    SMALLEST = 1.99  # its 2x2/2 convolutions drop an odd row

    def __init__(self, setting: Setting, *, in_channels: int, stem: str, regularise: Regularise):
        super().__init__(stem)
        if regularise.zero_init_last:
            raise UserError("model.zero_init_last: ConvNeXt has layer_scale instead; leave it out")
        scale = 1e-6 if regularise.layer_scale is None else regularise.layer_scale
        own = Regularise(regularise.drop_path, regularise.drop_block)  # gamma is the block's own
        width = setting.widths[0]
        self.stem = nn.Sequential(
            stem_conv(in_channels, width, stem, bias=True), LayerNorm2d(width, EPS), stem_pool(stem)
        )
        ends = BranchEnds(own, setting.depths)
        stages = []
        for number, (out, depth) in enumerate(zip(setting.widths, setting.depths, strict=True)):
            stages.append(Stage(width, out, depth, number == 0, scale, ends))
            width = out
        self.stages = nn.Sequential(*stages)
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(width, EPS)})
        self.num_features = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def features(self, image_BCHW: Tensor) -> Tensor:
        return self.through(self.stages, self.stem(image_BCHW))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """The norm is after the pooling, as published; of each pixel where nothing is pooled."""
        x, norm = self.features(image_BCHW), self.head["norm"]
        if isinstance(self.pool, Flatten):
            return self.pool(norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return norm(self.pool(x))
