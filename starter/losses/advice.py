"""The likely cause of a loss that is not what it should be, in a sentence."""

import math

from torch import nn

from starter.losses.heads import ClassHead
from starter.losses.margin_heads import MarginHead
from starter.losses.pairs import Triplet


def first_loss(term: nn.Module, *, high: bool, started: bool) -> str:
    """Why a head's first loss is too high or too low. started: from a parent or class means."""
    if started:
        return (
            "the weights it starts from do worse than none; are the classes and the data those of "
            "the stage it starts from?"
        )
    if high and isinstance(term, ClassHead) and term.reach() is None:
        return (
            "its logits grow with the embedding's length; a neck that ends in BatchNorm leaves "
            "that at about sqrt(D)"
        )
    if high:
        return (
            "embeddings of an untrained network lean away from their own classes, which is chance "
            "where classes are few, or labels of few classes make up the batch"
        )
    return (
        "embeddings already tell the classes apart, or few of the classes occur in the batch: do "
        "the labels run over all classes?"
    )


def collapsed(term: nn.Module, loss: float) -> bool:
    """Whether a triplet loss lies where it does when all embeddings are the same."""
    if not isinstance(term, Triplet):
        return False
    same = math.log(2) if isinstance(term.margin, str) else term.margin
    return abs(loss - same) < 0.005 * same


def stuck(term: nn.Module) -> str:
    """Why a loss does not fall."""
    if isinstance(term, Triplet):
        return (
            "all embeddings have become one, the usual end of batch_hard on an untrained network; "
            "start from a stage trained with softmax (init:), set mining: semi_hard, or lower "
            "optimizer.lr"
        )
    if isinstance(term, MarginHead) and term.margin_warmup == 0:
        return (
            "a full margin from the first update often does that; set margin_warmup: 0.3, start "
            "from a stage trained with softmax or normface (init:), or lower margin or scale"
        )
    return (
        "the learning rate is far too high or too low, or labels do not belong to their images; "
        "try optimizer.lr a tenth and ten times, and look at a batch"
    )


def not_finite(step: int) -> str:
    """Why a loss is NaN or infinite at update `step`, 0-based. Every loss of the kit is finite for
    finite embeddings, however long, short, equal or opposite."""
    if step == 0:
        return (
            "at the first update that is no matter of the rate: the images after data.mean and "
            "data.std, or the weights it starts from, are not finite"
        )
    return "the network's output or a weight was not finite before the loss was"
