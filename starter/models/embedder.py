"""The embedder: a backbone, a neck, and the preprocessing contract they were trained under.

Shapes: B batch, C H W image, F backbone features, D embedding.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from starter.errors import UserError
from starter.models.blocks import Backbone
from starter.models.layers import wide
from starter.recipe.schema.base import Size, sides
from starter.recipe.schema.data import Fit


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its images; saved with the weights.

    image_size: pixels a side, or height and width. channels: 1 ("grey") or 3 ("RGB" order).
    mean, std: per channel, on the 0..1 scale. fit: how another aspect ratio is met (`data.fit`).
    """

    image_size: Size
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    colour: str = "RGB"
    fit: Fit = "squash"

    def __post_init__(self) -> None:
        assert (self.channels, self.colour) in {(3, "RGB"), (1, "grey")}
        assert len(self.mean) == len(self.std) == self.channels

    @classmethod
    def default(cls, image_size: Size, channels: int) -> "Preprocessing":
        """Pixels in -1..1: the first BatchNorm makes finer statistics worthless."""
        half = (0.5,) * channels
        return cls(image_size, channels, half, half, "grey" if channels == 1 else "RGB")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        return *sides(self.image_size), self.channels

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """The inverse of `to_dict`, also after a trip through JSON."""
        lists: dict[str, Any] = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
        return cls(**values | lists)


class Embedder(nn.Module):
    """image_BCHW -> emb_BD: `.backbone`, `.neck`, `.preprocessing`.

    `pretrained` says whether the backbone's weights came from outside (see rules.py).
    """

    scale_C11: Tensor
    shift_C11: Tensor
    memory_format = torch.channels_last

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        preprocessing: Preprocessing,
        pretrained: bool = False,
    ):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.preprocessing = preprocessing
        self.pretrained = pretrained
        mean = torch.tensor(preprocessing.mean, dtype=torch.float64)
        std = torch.tensor(preprocessing.std, dtype=torch.float64)
        # Not in the state dict: `preprocessing` is kept beside the weights.
        for name, value in {"scale_C11": 1 / (255 * std), "shift_C11": -mean / std}.items():
            self.register_buffer(name, value.float()[:, None, None], persistent=False)

    def prepare(self, image_BHWC: Tensor) -> Tensor:
        """uint8 (B, H, W, C) as packed -> normalised float32 (B, C, H, W) in `memory_format`.

        On the images' own device, which must be the embedder's. Raises UserError for images of
        another size or channel count than `preprocessing` says.
        """
        assert image_BHWC.dtype == torch.uint8, image_BHWC.dtype
        shape = self.preprocessing.shape
        if image_BHWC.shape[1:] != shape:
            raise UserError(
                f"images of {tuple(image_BHWC.shape[1:])} (height, width, channels) given to "
                f"weights that expect {shape}: pack them at data.image_size {list(shape[:2])}"
            )
        # A (B, H, W, C) tensor seen as (B, C, H, W) already is channels_last: nothing is moved.
        # One call casts, scales and shifts: fewer passes over the pixels than three.
        image_BCHW = torch.addcmul(self.shift_C11, image_BHWC.permute(0, 3, 1, 2), self.scale_C11)
        return image_BCHW.contiguous(memory_format=self.memory_format)

    def set_memory_format(self, memory_format: torch.memory_format) -> None:
        """Lays out the weights, and from now on prepared images, in this format."""
        self.memory_format = memory_format
        self.to(memory_format=memory_format)

    def recompute_stages(self) -> None:
        """From now on a training step keeps each stage's input alone and computes the rest again.

        Raises UserError for timm's and a user's own network, whose stages are not known.
        """
        if not (isinstance(self.backbone, Backbone) and self.backbone.RECOMPUTES):
            raise UserError(
                "train.grad_checkpointing: only the kit's own backbones have it "
                "(`python -m starter.models` lists them); leave it out, or lower micro_batch"
            )
        self.backbone.recompute = True

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Normalised float images (B, C, H, W) -> emb_BD float32, not of unit length.

        The backbone runs under the caller's autocast; the neck in float32 always, since bf16
        cannot tell embeddings less than 5 degrees apart from equal ones.
        """
        feature_BF = self.backbone(image_BCHW)
        with torch.autocast(image_BCHW.device.type, enabled=False):
            return self.neck(wide(feature_BF))
