"""Images -> embeddings, each image once, with the checkpoint's own preprocessing.

Shapes: N images of the pack, M asked for, B of a batch, H W pixels, C channels, D embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from starter import distributed
from starter.data.batches import eval_batches
from starter.errors import UserError
from starter.models import Embedder
from starter.training.precision import Precision, inference_precision
from starter.training.state import StageJob


@dataclass(frozen=True)
class EmbedOptions:
    """How images are embedded.

    tta: views (`verify.tta`) averaged with the plain one. together: all processes call with the
    same images, each embeds its share, and all get the whole.
    """

    batch_size: int
    device: torch.device
    precision: Precision
    tta: tuple[str, ...] = ()
    together: bool = False


def embed_options(job: StageJob, trained_in: Precision) -> EmbedOptions:
    """How a stage embeds images to be evaluated."""
    wide = inference_precision(trained_in.name, job.device.type)
    return EmbedOptions(job.recipe.verify.batch_size, job.device, wide, together=True)


@torch.no_grad()
def embed(
    embedder: Embedder, image_NHWC: np.ndarray, index_M: np.ndarray, options: EmbedOptions
) -> np.ndarray:
    """Embeds the images `index_M` of a pack.

    The batch shape is fixed (the last batch is padded), so an embedding does not depend on the
    images it shares a batch with.

    Returns:
        emb_MD float32, not normalised.
    Raises:
        UserError: an embedding is not finite (a diverged or damaged checkpoint).
    """
    assert image_NHWC.shape[1:] == embedder.preprocessing.shape
    embedder.eval()
    shares = distributed.embed_shares(len(index_M), options.batch_size)
    own_m = index_M[shares[distributed.rank()]] if options.together else index_M
    batches = []
    pin = options.device.type == "cuda"
    for index_b, image_BHWC in eval_batches(image_NHWC, own_m, options.batch_size, pin):
        image_BCHW = embedder.prepare(image_BHWC.to(options.device, non_blocking=True))
        with options.precision.autocast():
            seen = [embedder(view).float() for view in views(image_BCHW, options.tta)]
        emb_BD = torch.stack(seen).mean(0)  # not of length 1: a clear view counts for more
        batches.append(emb_BD[: len(index_b)].cpu().numpy())
    dimension = batches[0].shape[1] if batches else 0
    emb_MD = np.concatenate(batches) if batches else np.zeros((0, dimension), np.float32)
    if options.together:
        emb_MD = distributed.gather(emb_MD, shares)
    if not np.isfinite(emb_MD).all():
        raise UserError("an embedding is not finite: the weights have diverged or are damaged")
    return emb_MD


def class_means(emb_MD: np.ndarray, label_M: np.ndarray, classes: int) -> np.ndarray:
    """Mean embedding of each class, mean_KD float32; zeros for a class without images."""
    sum_KD = np.zeros((classes, emb_MD.shape[1]), np.float64)
    np.add.at(sum_KD, label_M, emb_MD)
    count_K = np.bincount(label_M, minlength=classes)
    return (sum_KD / np.maximum(count_K, 1)[:, None]).astype(np.float32)


def unit(vector_ND: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a zero row stays."""
    length_N1 = np.linalg.norm(vector_ND, axis=1, keepdims=True)
    return vector_ND / np.maximum(length_N1, 1e-12)


def few_per_class(index_M: np.ndarray, label_M: np.ndarray, most: int) -> np.ndarray:
    """The first `most` items of every class, in order: enough for a mean, and bounded."""
    order = np.argsort(label_M, kind="stable")
    sorted_M = label_M[order]
    starts = np.searchsorted(sorted_M, sorted_M)
    return np.sort(index_M[order[np.arange(len(order)) - starts < most]])


Views = list[torch.Tensor]
MOVED = 16  # a shift is 1/16 of a side
CROPPED = 7 / 8  # of a side, what zoom and corners keep


def views(image_BCHW: torch.Tensor, names: Sequence[str]) -> Views:
    """The plain images and those that the names ask for, each (B,C,H,W).

    names: of `verify.tta`. With "hflip" every other view is mirrored as well.
    """
    made = [image_BCHW]
    for name, make in MAKERS.items():
        made += make(image_BCHW) if name in names else []
    return made + ([view.flip(3) for view in made] if "hflip" in names else [])


def _shift(image_BCHW: torch.Tensor) -> Views:
    """Up, down, left, right; the outermost pixels are repeated."""
    high, wide = image_BCHW.shape[2:]
    down, right = (max(1, round(side / MOVED)) for side in (high, wide))
    padded_BCHW = functional.pad(image_BCHW, (right, right, down, down), mode="replicate")
    starts = ((2 * down, right), (0, right), (down, 2 * right), (down, 0))
    return [padded_BCHW[:, :, y : y + high, x : x + wide] for y, x in starts]


def _zoom(image_BCHW: torch.Tensor) -> Views:
    """The middle, enlarged."""
    bottom, right = _ends(image_BCHW)
    return [_enlarged(image_BCHW, bottom // 2, right // 2)]


def _corners(image_BCHW: torch.Tensor) -> Views:
    """The four corners, enlarged."""
    bottom, right = _ends(image_BCHW)
    return [_enlarged(image_BCHW, y, x) for y in (0, bottom) for x in (0, right)]


def _ends(image_BCHW: torch.Tensor) -> tuple[int, int]:
    """Pixels that a crop leaves out, of the height and of the width."""
    high, wide = image_BCHW.shape[2:]
    return high - round(high * CROPPED), wide - round(wide * CROPPED)


def _enlarged(image_BCHW: torch.Tensor, y: int, x: int) -> torch.Tensor:
    (high, wide), (bottom, right) = image_BCHW.shape[2:], _ends(image_BCHW)
    part_BCHW = image_BCHW[:, :, y : y + high - bottom, x : x + wide - right]
    return functional.interpolate(part_BCHW, (high, wide), mode="bilinear", align_corners=False)


MAKERS: dict[str, Callable[[torch.Tensor], Views]] = {
    "shift": _shift,
    "zoom": _zoom,
    "corners": _corners,
}
