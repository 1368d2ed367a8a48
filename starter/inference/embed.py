"""Images -> embeddings, each image once, with the checkpoint's own preprocessing.

Shapes: N images of the pack, M asked for, B of a batch, H W pixels, C channels, D embedding.
"""

from dataclasses import dataclass

import numpy as np
import torch

from starter import distributed
from starter.data.batches import eval_batches
from starter.errors import UserError
from starter.inference.tta import views
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
    contract = embedder.preprocessing
    assert image_NHWC.shape[1:] == (contract.image_size, contract.image_size, contract.channels)
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
