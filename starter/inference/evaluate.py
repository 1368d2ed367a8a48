"""Margin-free accuracy on the dev split, and EER and AUC on the validation pairs.

Shapes: N items of the catalog, M evaluated, P pairs, K classes, D embedding.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from starter.data import Catalog
from starter.inference.embed import EmbedOptions, class_means, embed, few_per_class, unit
from starter.metrics import cosine, measure
from starter.training.learner import Learner

log = logging.getLogger(__name__)

MEAN_IMAGES = 20  # per class, for nearest-class-mean accuracy


@dataclass(frozen=True)
class Evaluation:
    """Metrics as fractions (None where the data has no such split), and what they came from."""

    metrics: dict[str, float | None]
    correct_M: np.ndarray | None  # bool, per dev image
    predicted_M: np.ndarray | None  # int64, per dev image
    score_P: np.ndarray | None  # float32, per validation pair
    emb_by_item: dict[str, np.ndarray]  # index_M int64 and emb_MD float32


def evaluate(
    learner: Learner,
    catalog: Catalog,
    image_NHWC: np.ndarray,
    options: EmbedOptions,
    monitor: str = "combined",
) -> Evaluation:
    """Embeds dev images and the images of the validation pairs once each, and measures."""
    was_training = learner.training
    learner.eval()
    pairs = catalog.pairs.get("val")
    dev_M = catalog.index("dev")
    wanted = [dev_M] + ([pairs.a_P, pairs.b_P] if pairs is not None else [])
    unique_U = np.unique(np.concatenate(wanted))
    emb_UD = embed(learner.embedder, image_NHWC, unique_U, options)
    label_M = logit_MK = same_P = score_P = None
    if len(dev_M):
        emb_MD = emb_UD[np.searchsorted(unique_U, dev_M)]
        logit_MK = class_logits(learner, emb_MD, catalog, image_NHWC, options)
        label_M = catalog.label_N[dev_M]
    if pairs is not None:
        assert pairs.same_P is not None, "validation pairs are labelled"
        a_P, b_P = np.searchsorted(unique_U, pairs.a_P), np.searchsorted(unique_U, pairs.b_P)
        same_P, score_P = pairs.same_P, cosine(emb_UD, a_P, b_P)
    metrics = measure(monitor, label_M=label_M, logit_MK=logit_MK, same_P=same_P, score_P=score_P)
    learner.train(was_training)
    predicted_M = None if logit_MK is None else logit_MK.argmax(1)
    correct_M = None if predicted_M is None else predicted_M == label_M
    kept = {"index_M": unique_U, "emb_MD": emb_UD}
    return Evaluation(metrics, correct_M, predicted_M, score_P, kept)


def class_logits(
    learner: Learner,
    emb_MD: np.ndarray,
    catalog: Catalog,
    image_NHWC: np.ndarray,
    options: EmbedOptions,
) -> np.ndarray:
    """logit_MK float32: the head's, margin-free, else cosines with the classes' means.

    K are the catalog's `answers` alone. The largest is the prediction.
    """
    answers = catalog.answers or len(catalog.classes)
    if learner.objective.classifier is not None:
        return logits(learner, emb_MD)[:, :answers]
    mean_KD = nearest_means(learner, catalog, image_NHWC, options)
    return unit(emb_MD) @ mean_KD[:answers].T


def predict(
    learner: Learner,
    emb_MD: np.ndarray,
    catalog: Catalog,
    image_NHWC: np.ndarray,
    options: EmbedOptions,
) -> np.ndarray:
    """Classes of embeddings, int64 (M)."""
    return class_logits(learner, emb_MD, catalog, image_NHWC, options).argmax(1)


@torch.no_grad()
def logits(learner: Learner, emb_MD: np.ndarray) -> np.ndarray:
    """Margin-free logits_MK float32 of the learner's class head, which it must have."""
    head = learner.objective.classifier
    assert head is not None
    device = next(learner.parameters()).device
    return head.logits(torch.from_numpy(emb_MD).to(device)).float().cpu().numpy()


def nearest_means(
    learner: Learner, catalog: Catalog, image_NHWC: np.ndarray, options: EmbedOptions
) -> np.ndarray:
    """Unit class means mean_KD over the first training images of each class."""
    train_M = catalog.index("train")
    few_M = few_per_class(train_M, catalog.label_N[train_M], MEAN_IMAGES)
    emb_MD = embed(learner.embedder, image_NHWC, few_M, options)
    return unit(class_means(unit(emb_MD), catalog.label_N[few_M], len(catalog.classes)))
