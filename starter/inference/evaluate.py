"""Margin-free accuracy on the dev split, and EER and AUC on the validation pairs.

Shapes: N items of the catalog, M evaluated, P pairs, K classes, D embedding.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from starter.data import Catalog
from starter.inference.embed import EmbedOptions, class_means, embed, few_per_class, unit
from starter.metrics import cosine
from starter.metrics import evaluate as verification_metrics
from starter.training.learner import Learner

log = logging.getLogger(__name__)

MEAN_IMAGES = 20  # per class, for nearest-class-mean accuracy
HIGHER_IS_BETTER = {"combined": True, "accuracy": True, "eer": False, "auc": True}


@dataclass(frozen=True)
class Evaluation:
    """Metrics as fractions (None where the data has no such split), and what they came from."""

    metrics: dict[str, float | None]
    correct_M: np.ndarray | None  # bool, per dev image
    predicted_M: np.ndarray | None  # int64, per dev image
    score_P: np.ndarray | None  # float32, per validation pair
    emb_by_item: dict[str, np.ndarray]  # index_M int64 and emb_MD float32


def evaluate(
    learner: Learner, catalog: Catalog, image_NHWC: np.ndarray, options: EmbedOptions
) -> Evaluation:
    """Embeds dev images and the images of the validation pairs once each, and measures."""
    was_training = learner.training
    learner.eval()
    pairs = catalog.pairs.get("val")
    dev_M = catalog.index("dev")
    wanted = [dev_M] + ([pairs.a_P, pairs.b_P] if pairs is not None else [])
    unique_U = np.unique(np.concatenate(wanted))
    emb_UD = embed(learner.embedder, image_NHWC, unique_U, options)
    metrics: dict[str, float | None] = {"accuracy": None, "eer": None, "auc": None}
    correct_M = predicted_M = score_P = None
    if len(dev_M):
        emb_MD = emb_UD[np.searchsorted(unique_U, dev_M)]
        predicted_M = predict(learner, emb_MD, catalog, image_NHWC, options)
        correct_M = predicted_M == catalog.label_N[dev_M]
        metrics["accuracy"] = float(correct_M.mean())
        metrics |= precision_and_recall(predicted_M, catalog.label_N[dev_M])
    if pairs is not None:
        assert pairs.same_P is not None, "validation pairs are labelled"
        a_P, b_P = np.searchsorted(unique_U, pairs.a_P), np.searchsorted(unique_U, pairs.b_P)
        score_P = cosine(emb_UD, a_P, b_P)
        found = verification_metrics(score_P, pairs.same_P)
        metrics |= {"eer": found["eer"], "auc": found["auc"]}
    if metrics["accuracy"] is not None and metrics["eer"] is not None:
        metrics["combined"] = 0.5 * metrics["accuracy"] + 0.5 * (1 - metrics["eer"])
    learner.train(was_training)
    kept = {"index_M": unique_U, "emb_MD": emb_UD}
    return Evaluation(metrics, correct_M, predicted_M, score_P, kept)


def precision_and_recall(predicted_M: np.ndarray, label_M: np.ndarray) -> dict[str, float]:
    """Averages over the classes that have images (macro); a class never predicted has precision 0.

    Both int64 (M).
    """
    classes = int(max(predicted_M.max(), label_M.max())) + 1
    right_K = np.bincount(label_M[predicted_M == label_M], minlength=classes)
    given_K = np.bincount(predicted_M, minlength=classes)
    true_K = np.bincount(label_M, minlength=classes)
    there_K = true_K > 0
    return {
        "precision": float((right_K / np.maximum(given_K, 1))[there_K].mean()),
        "recall": float((right_K / np.maximum(true_K, 1))[there_K].mean()),
    }


def predict(
    learner: Learner,
    emb_MD: np.ndarray,
    catalog: Catalog,
    image_NHWC: np.ndarray,
    options: EmbedOptions,
) -> np.ndarray:
    """Classes of embeddings, int64 (M): by the head's margin-free logits, else nearest mean.

    Only the catalog's `answers` are given.
    """
    answers = catalog.answers or len(catalog.classes)
    if learner.objective.classifier is not None:
        return logits(learner, emb_MD)[:, :answers].argmax(1)
    mean_KD = nearest_means(learner, catalog, image_NHWC, options)
    return (emb_MD @ mean_KD[:answers].T).argmax(1)


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


def monitored(metrics: dict[str, float | None], monitor: str) -> tuple[str, float | None]:
    """The metric that `monitor` can be read from: itself, or the one half that was measured."""
    if metrics.get(monitor) is not None:
        return monitor, metrics[monitor]
    for name in ("accuracy", "eer"):
        if monitor == "combined" and metrics.get(name) is not None:
            return name, metrics[name]
    return monitor, None


def better(new: float | None, old: float | None, metric: str) -> bool:
    """Whether `new` beats `old` (the first measured value beats none)."""
    if new is None or old is None:
        return old is None
    return new > old if HIGHER_IS_BETTER[metric] else new < old
