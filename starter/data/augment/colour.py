"""ColorJitter, RandomBrightnessContrast, ToGray: each image with numbers of its own.

Results are whole numbers: cut off or rounded where albumentations does, so that both paths show
the same pixels. Images are float (B, C, H, W), 0 to 255.

Shapes: B images, C channels, H W pixels, R rounds.
"""

from dataclasses import dataclass

import numpy as np
import torch

from starter.data.augment.geometry import Drawn, between

GREY = (0.299, 0.587, 0.114)
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
Sent = dict[str, torch.Tensor]


class Step:
    """What is done to the pixels of those images that a recipe's entry is drawn for."""

    @property
    def draws(self) -> int:
        """How many uniform numbers an image needs."""
        return 0

    def draw(self, u_BD: np.ndarray) -> Drawn:
        """What is done to each image, from `draws` uniform numbers in (0, 1)."""
        return {}

    def host(self, drawn: Drawn) -> Drawn:
        """The arrays that `apply` needs; they are sent as float32."""
        return drawn

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        """The new images. May overwrite what it is given."""
        raise NotImplementedError


def grey(image_BCHW: torch.Tensor) -> torch.Tensor:
    """Luma, rounded: (B, 1, H, W)."""
    if image_BCHW.shape[1] == 1:
        return image_BCHW
    red, green, blue = image_BCHW.unbind(1)
    luma_BHW = (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])
    return luma_BHW.add_(0.5).floor_().unsqueeze(1)


@dataclass(frozen=True)
class ColorJitter(Step):
    """ColorJitter: factors of brightness, contrast and saturation and a turn of the hue, in an
    order drawn for each image."""

    limits: tuple[tuple[float, float], ...]  # of brightness, contrast, saturation, hue
    names = ("brightness", "contrast", "saturation", "hue")
    draws = 8

    def draw(self, u_BD: np.ndarray) -> Drawn:
        drawn = {name: between(u_BD[:, i], self.limits[i]) for i, name in enumerate(self.names)}
        return drawn | {"order": np.argsort(u_BD[:, 4:8], axis=1)}

    def host(self, drawn: Drawn) -> Drawn:
        """Per round the factors of the image, its grey and its mean, and what is added.

        Brightness f:  f * image.  Contrast f:  f * image + (1 - f) * mean.  Saturation f:
        f * image + (1 - f) * grey, the only one that is rounded. Hue: in steps of 2 degrees.
        """
        order_BR = drawn["order"]
        factor_B4 = np.stack([drawn[name] for name in self.names], 1)
        factor_BR = np.take_along_axis(factor_B4, order_BR, 1)
        rest_BR = 1 - factor_BR
        found = {
            "image": np.where(order_BR == HUE, 1.0, factor_BR),
            "grey": np.where(order_BR == SATURATION, rest_BR, 0.0),
            "mean": np.where(order_BR == CONTRAST, rest_BR, 0.0),
            "half": np.where(order_BR == SATURATION, 0.5, 0.0),
            "turn": np.floor(180 * drawn["hue"]),
            # Which images have their hue turned in a round. One that is turned by less than a
            # step still goes through HSV, as albumentations' does.
            **{
                f"hue_{r}": np.flatnonzero((order_BR[:, r] == HUE) & (drawn["hue"] != 0))
                for r in range(4)
            },
        }
        return found

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        coloured = image_BCHW.shape[1] == 3
        for r in range(4):
            grey_B1HW = grey(image_BCHW)
            mean_B111 = grey_B1HW.mean((1, 2, 3), keepdim=True)
            factor, of_grey, of_mean, half = (
                sent[name][:, r, None, None, None] for name in ("image", "grey", "mean", "half")
            )
            added_B1HW = mean_B111 * of_mean + half
            if coloured:  # a grey image has no saturation to change
                added_B1HW = added_B1HW + grey_B1HW * of_grey
            else:
                factor = torch.where(of_grey != 0, 1.0, factor)
            image_BCHW = (image_BCHW * factor).add_(added_B1HW).clamp_(0, 255).floor_()
            index_b = sent[f"hue_{r}"].long()
            if coloured and len(index_b):
                turned = turn_hue(image_BCHW[index_b], sent["turn"][index_b])
                image_BCHW = image_BCHW.index_copy_(0, index_b, turned)
        return image_BCHW


def turn_hue(image_BCHW: torch.Tensor, turn_B: torch.Tensor) -> torch.Tensor:
    """Hue plus `turn` times 2 degrees, through opencv's 8-bit HSV (hue 0 to 179)."""
    red, green, blue = image_BCHW.unbind(1)
    value_BHW, span_BHW = image_BCHW.amax(1), image_BCHW.amax(1) - image_BCHW.amin(1)
    above_BHW = torch.where(
        value_BHW == red,
        green - blue,
        torch.where(value_BHW == green, blue - red + 2 * span_BHW, red - green + 4 * span_BHW),
    )
    hue_BHW = (above_BHW.mul_(30) / span_BHW.clamp(min=1)).add_(0.5).floor_()
    saturation_BHW = (span_BHW * 255 / value_BHW.clamp(min=1)).add_(0.5).floor_().div_(255)
    sector_BHW = hue_BHW.add_(turn_B[:, None, None]).remainder_(180).div_(30)
    channels = []
    for offset in (5, 3, 1):
        k_BHW = (sector_BHW + offset).remainder_(6)
        part_BHW = torch.minimum(k_BHW, 4 - k_BHW).clamp_(0, 1)
        channels.append(value_BHW * (1 - saturation_BHW * part_BHW))
    return torch.stack(channels, 1).round_()


@dataclass(frozen=True)
class BrightnessContrast(Step):
    """RandomBrightnessContrast: factor * image + a share of 255, or of the image's mean."""

    brightness: tuple[float, float]
    contrast: tuple[float, float]
    by_max: bool
    draws = 2

    def draw(self, u_BD: np.ndarray) -> Drawn:
        return {
            "alpha": 1 + between(u_BD[:, 0], self.contrast),
            "beta": between(u_BD[:, 1], self.brightness),
        }

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        alpha, beta = (sent[name][:, None, None, None] for name in ("alpha", "beta"))
        whole = 255.0 if self.by_max else image_BCHW.mean((1, 2, 3), keepdim=True)
        return (image_BCHW * alpha).add_(beta * whole).clamp_(0, 255).floor_()


@dataclass(frozen=True)
class ToGray(Step):
    """ToGray by the weighted average."""

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        return grey(image_BCHW).expand_as(image_BCHW)
