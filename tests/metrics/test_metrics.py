"""Metrics against scikit-learn, scipy and plain loops."""

import json
import math

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from starter.errors import UserError
from starter.metrics import compare, evaluate, threshold_at_eer


def draw(seed: int, pairs: int, decimals: int | None, gap: float = 1.0):
    """score_P float32 and same_P; few decimals make many ties."""
    rng = np.random.default_rng(seed)
    same_P = rng.random(pairs) < rng.uniform(0.1, 0.9)
    same_P[:2] = True, False
    score_P = rng.normal(size=pairs) + gap * same_P
    return (score_P if decimals is None else score_P.round(decimals)).astype(np.float32), same_P


CASES = [
    (pairs, decimals, gap)
    for pairs in (2, 3, 7, 50, 1000)
    for decimals in (None, 1, 0)
    for gap in (-0.5, 0.0, 1.0, 4.0, 12.0)
]


def course_eer(score_P, same_P) -> float:
    """As the course's starter notebook measures it, as a fraction."""
    fpr, tpr, _ = roc_curve(same_P, score_P, pos_label=1)
    return brentq(lambda x: 1.0 - x - interp1d(fpr, tpr)(x), 0.0, 1.0)


@pytest.mark.parametrize(("pairs", "decimals", "gap"), CASES)
def test_eer_auc_and_accuracy_equal_the_course_and_sklearn(pairs, decimals, gap):
    for seed in range(5):
        score_P, same_P = draw(seed, pairs, decimals, gap)
        found = evaluate(score_P, same_P)
        assert found["eer"] == pytest.approx(course_eer(score_P, same_P), abs=1e-9)
        assert found["auc"] == pytest.approx(roc_auc_score(same_P, score_P), abs=1e-12)
        thresholds = [*np.unique(score_P), np.inf]
        correct = [((score_P >= t) == same_P).mean() for t in thresholds]
        assert found["accuracy"] == pytest.approx(max(correct), abs=1e-12)
        steps = []
        for t in thresholds:
            far, frr = (score_P[~same_P] >= t).mean(), (score_P[same_P] < t).mean()
            steps.append((abs(far - frr), (far + frr) / 2))
        nearest = min(gap for gap, _ in steps)
        assert any(
            found["eer_step"] == pytest.approx(rate, abs=1e-12)
            for gap, rate in steps
            if gap <= nearest + 1e-12
        )


@pytest.mark.parametrize(("pairs", "decimals", "gap"), CASES)
def test_thresholds_reach_what_they_promise(pairs, decimals, gap):
    score_P, same_P = draw(3, pairs, decimals, gap)
    found = evaluate(score_P, same_P)
    threshold = found["thresholds"]["accuracy"]
    assert ((score_P >= threshold) == same_P).mean() == pytest.approx(found["accuracy"], abs=1e-12)
    threshold = found["thresholds"]["eer"]
    far, frr = (score_P[~same_P] >= threshold).mean(), (score_P[same_P] < threshold).mean()
    assert (far + frr) / 2 == pytest.approx(found["eer_step"], abs=1e-12)
    assert threshold == threshold_at_eer(score_P, same_P)
    assert math.isfinite(threshold)


def test_tar_at_far_by_a_loop_and_only_where_impostors_resolve_it():
    score_P, same_P = draw(5, 4000, 2)
    found = evaluate(score_P, same_P)
    impostors = found["impostor"]
    assert set(found["tar_at_far"]) == {
        far for far in (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1) if far * impostors >= 1
    }
    for far, tar in found["tar_at_far"].items():
        allowed = [
            (score_P[same_P] >= t).mean()
            for t in [*np.unique(score_P), np.inf]
            if (score_P[~same_P] >= t).mean() <= far
        ]
        assert tar == pytest.approx(max(allowed), abs=1e-12)
    assert f"1/{impostors}" in found["resolution"]


@pytest.mark.parametrize(
    ("impostors", "smallest"), [(9, None), (10, 0.1), (999, 5e-3), (1000, 1e-3)]
)
def test_a_far_is_reported_from_exactly_one_in_f_on(impostors, smallest):
    same_P = np.array([True] * 5 + [False] * impostors)
    score_P = np.random.default_rng(0).normal(size=len(same_P))
    tar_at_far = evaluate(score_P, same_P)["tar_at_far"]
    assert min(tar_at_far, default=None) == smallest


def test_perfect_reversed_and_constant_scores():
    same_P = np.array([True, True, False, False, False])
    perfect = evaluate(np.array([0.9, 0.8, 0.3, 0.2, 0.1]), same_P)
    assert [perfect[name] for name in ("eer", "eer_step", "auc", "accuracy")] == [0, 0, 1, 1]
    assert perfect["thresholds"]["eer"] == pytest.approx(0.55)
    wrong = evaluate(np.array([0.1, 0.2, 0.7, 0.8, 0.9]), same_P)
    assert [wrong[name] for name in ("eer", "auc", "accuracy")] == [1, 0, 0.6]
    flat = evaluate(np.full(5, 0.5, np.float32), same_P)
    assert [flat[name] for name in ("eer", "eer_step", "auc", "accuracy")] == [0.5, 0.5, 0.5, 0.6]


def test_counts_and_json():
    score_P, same_P = draw(0, 200, None)
    found = json.loads(json.dumps(evaluate(score_P, same_P, resamples=5), allow_nan=False))
    assert (found["pairs"], found["genuine"]) == (200, int(same_P.sum()))
    assert found["genuine"] + found["impostor"] == 200
    assert set(found["intervals"]) == {"accuracy", "eer", "eer_step", "auc"}


@pytest.mark.parametrize("value", [True, False])
def test_pairs_of_one_kind_are_the_users_to_mend(value):
    same_P = np.full(30, value)
    with pytest.raises(UserError, match=r"30 .*0|0 .*30"):
        evaluate(np.zeros(30), same_P)
    with pytest.raises(UserError, match="both kinds"):
        compare(np.zeros(30), np.zeros(30), same_P)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_named(bad):
    score_P, same_P = draw(0, 40, None)
    score_P[[7, 9]] = bad
    with pytest.raises(UserError, match=r"2 of 40 .* pair 7"):
        evaluate(score_P, same_P)
    with pytest.raises(UserError, match="not finite"):
        threshold_at_eer(score_P, same_P)
