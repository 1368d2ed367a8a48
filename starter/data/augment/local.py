"""GaussianBlur, CoarseDropout and Erasing: each image with numbers of its own.

Images are float (B, C, H, W), 0 to 255, whole numbers.

Shapes: B images, C channels, H W pixels, K taps of a kernel, N holes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from starter.data.augment.colour import Sent, Step
from starter.data.augment.geometry import Drawn, between, whole


@dataclass(frozen=True)
class GaussianBlur(Step):
    """GaussianBlur: sigma in pixels; a kernel size of 0 follows sigma. Edges are reflected."""

    sigma: tuple[float, float]
    kernel: tuple[int, int]
    draws = 2

    def draw(self, u_BD: np.ndarray) -> Drawn:
        sigma_B = between(u_BD[:, 0], self.sigma)
        size_B = whole(u_BD[:, 1], self.kernel[0], self.kernel[1])
        size_B = np.where(size_B == 0, np.trunc(sigma_B * 3.5) * 2 + 1, size_B)
        return {"sigma": sigma_B, "radius": size_B // 2}  # an even size is made odd by one more

    def host(self, drawn: Drawn) -> Drawn:
        """kernel_BK, all as long as the longest, zeros around."""
        reach = int(drawn["radius"].max())
        tap_K = np.arange(-reach, reach + 1)
        inside_BK = np.abs(tap_K) <= drawn["radius"][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            kernel_BK = np.exp(-0.5 * (tap_K / drawn["sigma"][:, None]) ** 2)
        kernel_BK = np.where(tap_K == 0, 1.0, np.where(inside_BK, kernel_BK, 0.0))
        return {"kernel": kernel_BK / kernel_BK.sum(1, keepdims=True)}

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        """As two matrix products: a grouped convolution with a kernel per image is slow."""
        size, taps = image_BCHW.shape[2], sent["kernel"].shape[1]
        tap_KSS = shifts(size, taps, str(image_BCHW.device))
        blur_BSS = (sent["kernel"] @ tap_KSS.view(taps, -1)).view(-1, 1, size, size)
        blurred_BCHW = blur_BSS @ image_BCHW @ blur_BSS.transpose(2, 3)
        return blurred_BCHW.round_().clamp_(0, 255)


@cache
def shifts(size: int, taps: int, device: str) -> torch.Tensor:
    """tap_KSS: the matrix that moves a row of pixels by each tap, reflected at its ends."""
    row_S, tap_K = np.arange(size), np.arange(taps) - taps // 2
    at_KS = np.abs(row_S + tap_K[:, None]) % (2 * size - 2)
    at_KS = np.minimum(at_KS, 2 * size - 2 - at_KS)
    return torch.from_numpy(np.eye(size, dtype=np.float32)[at_KS]).to(device)


@dataclass(frozen=True)
class Holes(Step):
    """CoarseDropout: up to N rectangles, drawn over each other. fill_C: None for a colour drawn
    for each hole. in_pixels: whether sides are pixels or a fraction of the image's."""

    size: int
    channels: int
    count: tuple[int, int]
    height: tuple[float, float]
    width: tuple[float, float]
    in_pixels: bool
    fill_C: tuple[float, ...] | None

    @property
    def draws(self) -> int:
        return 1 + self.count[1] * (4 + self.channels)

    def draw(self, u_BD: np.ndarray) -> Drawn:
        most = self.count[1]
        u_BNk = u_BD[:, 1:].reshape(len(u_BD), most, 4 + self.channels)
        count_B = whole(u_BD[:, 0], *self.count)
        there_BN = np.arange(most) < count_B[:, None]
        drawn = {"count": count_B}
        named = (("height", "top", self.height), ("width", "left", self.width))
        for i, (name, start, limits) in enumerate(named):
            side_BN = self._side(u_BNk[:, :, i], limits)
            start_BN = whole(u_BNk[:, :, 2 + i], 0, self.size - side_BN)
            drawn |= {name: np.where(there_BN, side_BN, 0), start: start_BN}
        return drawn | {"colour": self._colour(u_BNk[:, :, 4:])}

    def _side(self, u_BN: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        if self.in_pixels:
            return whole(u_BN, int(limits[0]), int(min(limits[1], self.size)))
        return np.trunc(self.size * between(u_BN, limits))

    def _colour(self, u_BNC: np.ndarray) -> np.ndarray:
        return (
            np.floor(256 * u_BNC)
            if self.fill_C is None
            else np.broadcast_to(self.fill_C, u_BNC.shape)
        )

    def host(self, drawn: Drawn) -> Drawn:
        return {key: drawn[key] for key in ("top", "height", "left", "width", "colour")}

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        return erase(image_BCHW, sent)


@dataclass(frozen=True)
class Erasing(Step):
    """Erasing: one rectangle by its share of the area and its width over its height."""

    size: int
    channels: int
    scale: tuple[float, float]
    ratio: tuple[float, float]
    fill_C: tuple[float, ...] | None

    @property
    def draws(self) -> int:
        return 4 + self.channels

    def draw(self, u_BD: np.ndarray) -> Drawn:
        area = self.size**2
        most = area * min(self.scale[1], self.ratio[0], 1 / self.ratio[1])
        least = area * self.scale[0]
        drawn = {key: np.zeros((len(u_BD), 1)) for key in ("top", "height", "left", "width")}
        colour_BC = (
            np.floor(256 * u_BD[:, 4:])
            if self.fill_C is None
            else np.broadcast_to(self.fill_C, (len(u_BD), self.channels))
        )
        if most >= least:
            area_B = between(u_BD[:, 0], (least, most))
            with np.errstate(divide="ignore"):
                high_B = np.minimum(self.ratio[1], area / area_B)
            low_B = np.maximum(self.ratio[0], area_B / area)
            ratio_B = low_B + (high_B - low_B) * u_BD[:, 1]
            drawn["height"][:, 0] = np.round(np.sqrt(area_B / ratio_B))
            drawn["width"][:, 0] = np.round(np.sqrt(area_B * ratio_B))
            drawn["top"] = whole(u_BD[:, 2:3], 0, self.size - drawn["height"])
            drawn["left"] = whole(u_BD[:, 3:4], 0, self.size - drawn["width"])
        return drawn | {"colour": colour_BC[:, None]}

    def apply(self, image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
        return erase(image_BCHW, sent)


def erase(image_BCHW: torch.Tensor, sent: Sent) -> torch.Tensor:
    """Every image's holes filled, one after the other."""
    at_S = torch.arange(image_BCHW.shape[2], device=image_BCHW.device, dtype=torch.float32)
    rows_BNS = inside(at_S, sent["top"], sent["height"])
    columns_BNS = inside(at_S, sent["left"], sent["width"])
    for n in range(rows_BNS.shape[1]):
        hole_B1HW = rows_BNS[:, n, None, :, None] & columns_BNS[:, n, None, None, :]
        image_BCHW = torch.where(hole_B1HW, sent["colour"][:, n, :, None, None], image_BCHW)
    return image_BCHW


def inside(at_S: torch.Tensor, start_BN: torch.Tensor, side_BN: torch.Tensor) -> torch.Tensor:
    """Whether each of at_S lies in [start, start + side): bool (B, N, S)."""
    return (at_S >= start_BN[..., None]) & (at_S < (start_BN + side_BN)[..., None])
