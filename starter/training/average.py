"""Averaging the weights of learners of one network (model soups, Wortsman et al. 2022).

The average of two trainings is a good network only where both lie in one basin: fine-tunings of the
same weights mostly do, trainings from other first weights do not.

Shapes: B of a batch, H W pixels, C channels.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from starter.training.learner import Learner
from starter.training.precision import Precision

NORM_IMAGES = 2048  # that BatchNorm statistics are taken of

Weights = dict[str, torch.Tensor]


def misfits(first: Weights, other: Weights) -> list[str]:
    """Names of the embedder's tensors that one has and the other has not, or in another shape."""
    shapes = [
        {name: t.shape for name, t in weights.items() if name.startswith("embedder.")}
        for weights in (first, other)
    ]
    return sorted(
        name
        for name in shapes[0].keys() | shapes[1].keys()
        if shapes[0].get(name) != shapes[1].get(name)
    )


def average(parts: Sequence[Weights]) -> Weights:
    """The mean of every floating tensor, added up in float64.

    A head's tensor that not all have in one shape, and whole numbers, are the first one's.
    """
    mean = {}
    for name, first in parts[0].items():
        alike = all(name in part and part[name].shape == first.shape for part in parts)
        if alike and first.is_floating_point():
            total = torch.stack([part[name].double() for part in parts]).mean(0)
            mean[name] = total.to(first.dtype)
        else:
            mean[name] = first.clone()
    return mean


def batch_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The BatchNorm layers that keep statistics."""
    return [
        m
        for m in module.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats
    ]


@torch.no_grad()
def renew_statistics(
    learner: Learner, batches: Iterable[torch.Tensor], device: torch.device, precision: Precision
) -> None:
    """BatchNorm statistics anew: means over these batches, uint8 (B, H, W, C), of one size.

    The mean of two networks' statistics is not that of their mean network, whose activations are
    others (Izmailov et al. 2018, section 3.2). Nothing else is in training mode: dropped paths and
    features would move the statistics away from those of inference.
    """
    embedder = learner.embedder.eval()
    norms = batch_norms(embedder)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for image_BHWC in batches:
        with precision.autocast():
            embedder(embedder.prepare(image_BHWC.to(device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    embedder.eval()


def first_batches(images: Iterable, most: int = NORM_IMAGES) -> Iterable[torch.Tensor]:
    """image_BHWC of an epoch's batches, until there are enough images."""
    seen = 0
    for batch in images:
        yield batch.image_BHWC
        seen += len(batch.label_B)
        if seen >= most:
            return
