"""Mixed images: mixup and cutmix, drawn once a batch.

Shapes: B batch, C channels, H W pixels.
"""

import math

import numpy as np
import torch


def mix_batch(
    image_BCHW: torch.Tensor,
    *,
    mixup: float,
    cutmix: float,
    probability: float = 1.0,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mixes a batch with itself, in another order: mixup (arXiv 1710.09412) or cutmix (1905.04899).

    image_BCHW: floating point, on any device; not changed. mixup, cutmix: alphas of
    Beta(alpha, alpha), 0 for off; where both are on, each is taken half the time. probability:
    share of batches that are mixed at all. generator: on the CPU; one draw is taken from it.

    Returns:
        image_BCHW; permutation_B int64, the other image that went into each; weight_B float32,
        the share of the image's own label, 1 where nothing was mixed. All on the images' device.
    """
    assert image_BCHW.is_floating_point()
    # numpy's beta is exact for small alphas too, and torch's takes no generator.
    rng = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=generator)))
    size, device = len(image_BCHW), image_BCHW.device
    if rng.random() >= probability or not (mixup or cutmix):
        unmixed_B = torch.arange(size, device=device)
        return image_BCHW, unmixed_B, torch.ones(size, device=device)
    use_cutmix = cutmix > 0 and (mixup == 0 or rng.random() < 0.5)
    alpha = cutmix if use_cutmix else mixup
    share = float(rng.beta(alpha, alpha))
    permutation_B = torch.from_numpy(rng.permutation(size)).to(device, non_blocking=True)
    if use_cutmix:
        height, width = image_BCHW.shape[2:]
        rows, columns = _box(height, width, share, rng)
        mixed_BCHW = image_BCHW.clone()
        mixed_BCHW[:, :, rows, columns] = image_BCHW[:, :, rows, columns][permutation_B]
        covered = (rows.stop - rows.start) * (columns.stop - columns.start)
        share = 1 - covered / (height * width)  # the box may have been cut off at an edge
    else:
        mixed_BCHW = torch.lerp(image_BCHW[permutation_B], image_BCHW, share)
    return mixed_BCHW, permutation_B, torch.full((size,), share, device=device)


def _box(height: int, width: int, share: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a box of 1 - share of the area, its centre anywhere, cut at the edges."""
    side = math.sqrt(1 - share)
    slices = []
    for length in (height, width):
        size = round(length * side)
        start = int(rng.integers(length)) - size // 2
        slices.append(slice(max(start, 0), min(start + size, length)))
    return slices[0], slices[1]
