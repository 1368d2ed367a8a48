"""Metrics by name, for `monitor` and its table: the kit's, scikit-learn's scorers, a user's own.

Shapes: M images of the dev split, K classes, P labelled pairs, T classes ranked.
"""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from starter.errors import UserError, did_you_mean
from starter.metrics.fuse import softmax, top_classes
from starter.metrics.verification import evaluate
from starter.recipe.named import problem
from starter.recipe.own import error_text, is_own, load_own, split_own
from starter.recipe.problems import Problem
from starter.recipe.schema.train import TrainSection


@dataclass(frozen=True)
class Metric:
    """A number that says how good a network is.

    measure: (label_M, probability_MK) of images, or (same_P, score_P) where it is `of_pairs`;
        label_M int64, probability_MK float, same_P bool, score_P float32. None where every
        evaluation measures it anyway.
    """

    measure: Callable[[np.ndarray, np.ndarray], float] | None = None
    of_pairs: bool = False
    less_is_better: bool = False


def log_loss(label_M: np.ndarray, probability_MK: np.ndarray) -> float:
    """Mean negative log of the true class's probability, in nats."""
    from sklearn.metrics import log_loss

    return float(log_loss(label_M, probability_MK, labels=np.arange(probability_MK.shape[1])))


def macro_f1(label_M: np.ndarray, probability_MK: np.ndarray) -> float:
    """F1 averaged over the classes that are true or predicted."""
    from sklearn.metrics import f1_score

    return float(f1_score(label_M, probability_MK.argmax(1), average="macro", zero_division=0))


def recall_at(k: int, label_M: np.ndarray, probability_MK: np.ndarray) -> float:
    """The share of images whose class is among the k likeliest."""
    return float((top_classes(probability_MK, k)[0] == label_M[:, None]).any(1).mean())


def map_at(k: int, label_M: np.ndarray, probability_MK: np.ndarray) -> float:
    """Mean average precision at k of one true class: 1/rank where it is among the k likeliest."""
    hit_MT = top_classes(probability_MK, k)[0] == label_M[:, None]
    return float((hit_MT / np.arange(1, hit_MT.shape[1] + 1)).sum(1).mean())


KIT = {
    "accuracy": Metric(),
    "precision": Metric(),
    "recall": Metric(),
    "eer": Metric(of_pairs=True, less_is_better=True),
    "auc": Metric(of_pairs=True),
    "combined": Metric(),
    "macro_f1": Metric(macro_f1),
    "balanced_accuracy": Metric(lambda *given: precision_and_recall(*given)["recall"]),
    "log_loss": Metric(log_loss, less_is_better=True),
}
AT_K = {"map_at_K": map_at, "recall_at_K": recall_at}


@functools.cache
def find(name: str) -> Metric:
    """The metric of this name.

    Raises:
        UserError: nobody has one, or the user's file cannot be run.
    """
    if is_own(name):
        own = load_own(name)
        path = split_own(name)[0]

        def measure(target_N: np.ndarray, value: np.ndarray) -> float:
            try:
                return float(own(target_N, value))
            except Exception as error:
                raise UserError(f"monitor: {name}: {error_text(error, path)}") from error

        return Metric(
            measure, getattr(own, "of_pairs", False), getattr(own, "less_is_better", False)
        )
    at_k = re.fullmatch(r"(map_at|recall_at)_([1-9]\d*)", name)
    if at_k:
        return Metric(functools.partial(AT_K[f"{at_k[1]}_K"], int(at_k[2])))
    return KIT[name] if name in KIT else _scorer(name)


def _scorer(name: str) -> Metric:
    """scikit-learn's scorer of this name, on the classes of images: larger is better."""
    from sklearn.metrics import get_scorer, get_scorer_names

    if name not in get_scorer_names():
        near = did_you_mean(name, [*KIT, *AT_K, *get_scorer_names()])
        places = "; scikit-learn's scorers go by their own names, your own as path/metric.py:f"
        raise UserError(f"no such metric{near or places} (got {name!r})")
    scorer: Any = get_scorer(name)
    takes_labels = "labels" in inspect.signature(scorer._score_func).parameters

    def measure(label_M: np.ndarray, probability_MK: np.ndarray) -> float:
        options = dict(scorer._kwargs)
        if scorer._response_method == "predict":
            value = probability_MK.argmax(1)
        elif probability_MK.shape[1] == 2:
            value = probability_MK[:, 1]
        else:
            value = probability_MK
            options |= {"labels": np.arange(value.shape[1])} if takes_labels else {}
        try:
            return float(scorer._sign * scorer._score_func(label_M, value, **options))
        except ValueError as error:
            raise UserError(f"monitor: scikit-learn's {name}: {error}") from None

    return Metric(measure)


def measure(
    monitor: str,
    *,
    label_M: np.ndarray | None,
    logit_MK: np.ndarray | None,
    same_P: np.ndarray | None,
    score_P: np.ndarray | None,
) -> dict[str, float | None]:
    """Every number of an evaluation, as fractions; None where there is nothing to measure it on.

    Returns:
        accuracy, eer, auc; of images also precision and recall (macro); combined where both
        halves were measured; and `monitor`'s.
    """
    values: dict[str, float | None] = {"accuracy": None, "eer": None, "auc": None}
    if label_M is not None:
        assert logit_MK is not None
        values["accuracy"] = float((logit_MK.argmax(1) == label_M).mean())
        values |= precision_and_recall(label_M, logit_MK)
    if same_P is not None:
        assert score_P is not None
        of_pairs = evaluate(score_P, same_P)
        values |= {"eer": of_pairs["eer"], "auc": of_pairs["auc"]}
    if (both := combined(values["accuracy"], values["eer"])) is not None:
        values["combined"] = both
    metric = find(monitor)
    if metric.measure is not None:
        target_N, value = (same_P, score_P) if metric.of_pairs else (label_M, logit_MK)
        values[monitor] = None
        if target_N is not None and value is not None:
            number = metric.measure(target_N, value if metric.of_pairs else softmax(value))
            if not np.isfinite(number):
                raise UserError(f"monitor: {monitor} is {number}, which cannot be compared")
            values[monitor] = number
    return values


def check(section: TrainSection) -> list[Problem]:
    """Whether `monitor` names a metric."""
    try:
        find(section.monitor)
    except UserError as error:
        return [problem(section, "monitor", str(error))]
    return []


def try_out(section: TrainSection, classes: int) -> list[Problem]:
    """Whether `monitor` can measure answers of this many classes, before an epoch is spent."""
    rng, count = np.random.default_rng(0), min(classes, 50)
    index_M = np.arange(2 * count)
    try:
        measure(
            section.monitor,
            label_M=index_M % count,
            logit_MK=rng.normal(size=(len(index_M), count)),
            same_P=index_M % 2 == 0,
            score_P=rng.normal(size=len(index_M)).astype(np.float32),
        )
    except UserError as error:
        return [problem(section, "monitor", str(error))]
    return []


def combined(accuracy: float | None, eer: float | None) -> float | None:
    """The course's score, 0.5 * accuracy + 0.5 * (1 - EER); None where a half is missing."""
    if accuracy is None or eer is None:
        return None
    return 0.5 * accuracy + 0.5 * (1 - eer)


def precision_and_recall(label_M: np.ndarray, value_MK: np.ndarray) -> dict[str, float]:
    """Averages over the classes that have images (macro); a class never predicted has precision 0.

    value_MK: logits or probabilities; the largest is the answer.
    """
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, *_ = precision_recall_fscore_support(
        label_M, value_MK.argmax(1), labels=np.unique(label_M), average="macro", zero_division=0
    )
    return {"precision": float(precision), "recall": float(recall)}


def monitored(values: dict[str, float | None], monitor: str) -> tuple[str, float | None]:
    """The metric that `monitor` can be read from: itself, or the one half that was measured."""
    if values.get(monitor) is not None:
        return monitor, values[monitor]
    for name in ("accuracy", "eer"):
        if monitor == "combined" and values.get(name) is not None:
            return name, values[name]
    return monitor, None


def less_is_better(name: str) -> bool:
    """The direction of the metric of this name."""
    return find(name).less_is_better


def better(new: float | None, old: float | None, name: str) -> bool:
    """Whether `new` beats `old` by the metric of this name (the first measured beats none)."""
    if new is None or old is None:
        return old is None
    return new < old if less_is_better(name) else new > old
