"""Metrics by name, against plain loops and scikit-learn's own functions."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from starter.errors import UserError
from starter.metrics import better, check, evaluate, less_is_better, measure, monitored, try_out
from starter.metrics.fuse import softmax
from starter.recipe.schema.train import TrainSection

RNG = np.random.default_rng(0)
LABEL_M = RNG.integers(0, 7, 300)  # 2 of 9 classes have no image
LOGIT_MK = (RNG.normal(size=(300, 9)) + 2 * np.eye(9)[LABEL_M]).astype(np.float32)
SAME_P = RNG.random(200) < 0.5
SCORE_P = (SAME_P + RNG.normal(size=200)).astype(np.float32)


def measured(monitor, logit_MK=LOGIT_MK, label_M=LABEL_M):
    return measure(monitor, label_M=label_M, logit_MK=logit_MK, same_P=SAME_P, score_P=SCORE_P)


def by_class(kind):
    """Precision, recall or F1 of every class by counting."""
    predicted_M, found = LOGIT_MK.argmax(1), {}
    for k in range(9):
        right = sum(1 for p, y in zip(predicted_M, LABEL_M, strict=True) if p == y == k)
        given, true = int((predicted_M == k).sum()), int((k == LABEL_M).sum())
        counts = {"precision": (right, given), "recall": (right, true)}
        counts["f1"] = (2 * right, given + true)
        over, under = counts[kind]
        if true or (kind == "f1" and given):
            found[k] = over / under if under else 0.0
    return float(np.mean(list(found.values())))


def ranks():
    """The place of each image's class among all, 1 for the likeliest, by sorting."""
    return [
        1 + sorted(range(9), key=lambda k: (-row[k], k)).index(y)
        for row, y in zip(LOGIT_MK.tolist(), LABEL_M, strict=True)
    ]


def test_every_evaluation_has_the_numbers_of_images_and_of_pairs():
    values, pairs = measured("combined"), evaluate(SCORE_P, SAME_P)
    assert list(values) == ["accuracy", "eer", "auc", "precision", "recall", "combined"]
    assert values["accuracy"] == (LOGIT_MK.argmax(1) == LABEL_M).mean()
    assert (values["eer"], values["auc"]) == (pairs["eer"], pairs["auc"])
    assert values["precision"] == pytest.approx(by_class("precision"))
    assert values["recall"] == pytest.approx(by_class("recall"))
    assert values["combined"] == 0.5 * values["accuracy"] + 0.5 * (1 - values["eer"])


WANTED = {
    "macro_f1": lambda: by_class("f1"),
    "balanced_accuracy": lambda: by_class("recall"),
    "log_loss": lambda: float(-np.log(softmax(LOGIT_MK.astype(float))[range(300), LABEL_M]).mean()),
    "map_at_3": lambda: float(np.mean([1 / r if r <= 3 else 0.0 for r in ranks()])),
    "recall_at_2": lambda: float(np.mean([r <= 2 for r in ranks()])),
    "map_at_20": lambda: float(np.mean([1 / r for r in ranks()])),
    "f1_macro": lambda: by_class("f1"),
    "neg_log_loss": lambda: (
        -log_loss(LABEL_M, softmax(LOGIT_MK.astype(float)), labels=np.arange(9))
    ),
}


@pytest.mark.parametrize("name", WANTED)
def test_a_monitored_metric_is_the_loops(name):
    assert measured(name)[name] == pytest.approx(WANTED[name](), rel=1e-5)


def test_a_scorer_of_two_classes_is_given_the_second_ones_probability():
    label_M, logit_MK = LABEL_M % 2, LOGIT_MK[:, :2]
    value = measured("roc_auc", logit_MK, label_M)["roc_auc"]
    assert value == pytest.approx(roc_auc_score(label_M, softmax(logit_MK)[:, 1]))


OWN = """
def cost(label_M, probability_MK):
    return float((1 - probability_MK[range(len(label_M)), label_M]).mean())

cost.less_is_better = True

def gap(same_P, score_P):
    return score_P[same_P].mean() - score_P[~same_P].mean()

gap.of_pairs = True

def wrong(label_M, probability_MK):
    return label_M.no_such_thing

def nothing(label_M, probability_MK):
    return float("nan")
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "metric.py").write_text(OWN)
    return lambda name: f"{tmp_path / 'metric.py'}:{name}"


def test_ones_own_metric_of_images_and_of_pairs(own):
    cost = 1 - softmax(LOGIT_MK)[range(300), LABEL_M].mean()
    assert measured(own("cost"))[own("cost")] == pytest.approx(cost, rel=1e-6)
    gap = SCORE_P[SAME_P].mean() - SCORE_P[~SAME_P].mean()
    assert measured(own("gap"))[own("gap")] == pytest.approx(gap)
    assert less_is_better(own("cost")) and not less_is_better(own("gap"))
    assert not try_out(TrainSection(monitor=own("gap")), 5)


def test_what_was_not_measured_is_none():
    of_pairs = measure("macro_f1", label_M=None, logit_MK=None, same_P=SAME_P, score_P=SCORE_P)
    assert of_pairs["accuracy"] is of_pairs["macro_f1"] is None and "combined" not in of_pairs
    of_images = measure("eer", label_M=LABEL_M, logit_MK=LOGIT_MK, same_P=None, score_P=None)
    assert of_images["eer"] is None and of_images["recall"] is not None


@pytest.mark.parametrize(
    "name, says",
    [
        ("acuracy", "did you mean 'accuracy'?"),
        ("map_at_0", "did you mean"),
        ("x", "no such metric"),
    ],
)
def test_an_unknown_name_is_refused_at_its_key(name, says):
    (found,) = check(TrainSection(monitor=name))
    assert found.path == ("monitor",) and says in found.message


@pytest.mark.parametrize("name, says", [("wrong", "no_such_thing"), ("nothing", "nan")])
def test_a_metric_that_fails_is_refused_before_an_epoch_is_spent(name, says, own):
    assert not check(TrainSection(monitor=own(name)))
    (found,) = try_out(TrainSection(monitor=own(name)), 5)
    assert found.path == ("monitor",) and says in found.message
    with pytest.raises(UserError, match=says):
        measured(own(name))


def test_a_scorer_of_two_classes_is_refused_where_there_are_more():
    assert not try_out(TrainSection(monitor="roc_auc"), 2)
    assert try_out(TrainSection(monitor="roc_auc"), 3)
    assert not try_out(TrainSection(monitor="roc_auc_ovr"), 300)


def test_monitor_falls_back_to_the_half_that_was_measured():
    assert monitored({"accuracy": 0.5, "eer": None}, "combined") == ("accuracy", 0.5)
    assert monitored({"accuracy": None, "eer": 0.1}, "combined") == ("eer", 0.1)
    assert monitored({"accuracy": None, "eer": None}, "auc") == ("auc", None)


def test_lower_eer_is_better_and_a_first_value_beats_none():
    assert better(0.1, 0.2, "eer") and not better(0.2, 0.1, "eer")
    assert better(0.2, 0.1, "auc") and better(0.1, None, "accuracy")
    assert not better(None, 0.1, "accuracy")
