"""Probabilities of scores against plain minimisation, scikit-learn, and data whose truth is known.

Shapes: P pairs, U units.
"""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss

from starter.metrics import (
    cross_fit,
    fit_calibration,
    fold_pairs,
    judge_calibration,
    log_likelihood_ratio,
    probability,
)
from starter.metrics.calibrate import reliability


def pairs_of_people(rng, count=2000, people=60):
    """unit_P2, same_P, score_P: impostors join two people, genuine pairs one."""
    same_P = rng.random(count) < 0.4
    unit_P2 = np.stack([rng.integers(people, size=count)] * 2, axis=1)
    unit_P2[~same_P, 1] = (unit_P2[~same_P, 0] + rng.integers(1, people, (~same_P).sum())) % people
    score_P = rng.normal(np.where(same_P, 0.5, 0.1), 0.2)
    return unit_P2, same_P, score_P.astype(np.float32)


def test_platt_minimises_the_loss_of_the_smoothed_targets():
    from scipy.optimize import minimize

    _, same_P, score_P = pairs_of_people(np.random.default_rng(0))
    genuine, impostor = same_P.sum(), (~same_P).sum()
    target_P = np.where(same_P, (genuine + 1) / (genuine + 2), 1 / (impostor + 2))

    def loss(theta):
        logit_P = theta[0] * score_P.astype(float) + theta[1]
        return np.mean(np.logaddexp(0, logit_P) - target_P * logit_P)

    slope, intercept = minimize(
        loss,
        [1.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000},
    ).x
    found = fit_calibration(score_P, same_P)
    assert found["slope"] == pytest.approx(slope, rel=1e-4)
    assert found["intercept"] == pytest.approx(intercept, rel=1e-4)
    by_hand = [1 / (1 + np.exp(-(slope * s + intercept))) for s in score_P[:50].astype(float)]
    np.testing.assert_allclose(probability(found, score_P[:50]), by_hand, atol=1e-4)


def test_platt_finds_the_truth_of_two_normals_and_the_ratio_does_not_depend_on_the_prior():
    # For N(m1, s) against N(m0, s) the log-likelihood ratio is linear: slope (m1 - m0) / s^2.
    _, same_P, score_P = pairs_of_people(np.random.default_rng(1), count=100_000)
    found = fit_calibration(score_P, same_P)
    assert found["slope"] == pytest.approx(0.4 / 0.2**2, rel=0.03)
    few = same_P & (np.random.default_rng(2).random(len(same_P)) < 0.1) | ~same_P
    rarer = fit_calibration(score_P[few], same_P[few])
    assert rarer["prior"] < 0.07 < found["prior"]
    truth = [(s - 0.3) * 0.4 / 0.2**2 for s in (0.0, 0.3, 0.7)]
    for fitted in (found, rarer):
        np.testing.assert_allclose(
            log_likelihood_ratio(fitted, np.array([0.0, 0.3, 0.7])), truth, atol=0.25
        )


def test_separable_scores_do_not_become_certain():
    score_P = np.concatenate([np.linspace(0, 0.1, 50), np.linspace(0.9, 1, 50)])
    same_P = np.arange(100) >= 50
    for kind in ("platt", "isotonic"):
        found = probability(fit_calibration(score_P, same_P, kind), np.array([-1e9, 0.5, 1e9]))
        assert ((found >= 0) & (found <= 1)).all()
    by_platt = probability(fit_calibration(score_P, same_P), score_P)
    assert by_platt[0] > 0.001 and by_platt[-1] < 0.999


def test_isotonic_is_scikit_learns_and_never_certain():
    _, same_P, score_P = pairs_of_people(np.random.default_rng(3))
    found = fit_calibration(score_P, same_P, "isotonic")
    model = IsotonicRegression(out_of_bounds="clip").fit(score_P.astype(float), same_P)
    grid = np.linspace(-2, 2, 401)
    edge = 1 / (len(same_P) + 2)
    expected = np.clip(model.predict(grid), edge, 1 - edge)
    np.testing.assert_allclose(probability(found, grid), expected, atol=1e-12)


def test_reliability_equals_scikit_learn():
    rng = np.random.default_rng(4)
    probability_P = rng.random(3000) ** 2
    same_P = rng.random(3000) < probability_P
    found = reliability(probability_P, same_P)
    observed, predicted = calibration_curve(same_P, probability_P, n_bins=10)
    np.testing.assert_allclose([b["observed"] for b in found["bins"]], observed)
    np.testing.assert_allclose([b["predicted"] for b in found["bins"]], predicted)
    assert sum(b["count"] for b in found["bins"]) == 3000
    assert found["brier"] == pytest.approx(brier_score_loss(same_P, probability_P))
    assert found["log_loss"] == pytest.approx(log_loss(same_P, probability_P))
    assert found["ece"] < 0.03 < reliability(probability_P**3, same_P)["ece"]


def test_cross_fitting_never_sees_a_unit_it_judges():
    rng = np.random.default_rng(5)
    unit_P2, same_P, _ = pairs_of_people(rng, count=600, people=25)
    fold_P2 = fold_pairs(unit_P2, 5, seed=1)
    for unit in range(25):  # a unit has one fold, whichever side it is on
        assert len(set(fold_P2[unit_P2 == unit])) == 1
    judged = []

    def fit(part_P, same):
        seen = {u for row in part_P.astype(int) for u in unit_P2[row]}

        def predict(others_P):
            units = {u for row in others_P.astype(int) for u in unit_P2[row]}
            assert seen and not (seen & units)
            judged.extend(others_P)
            return others_P

        return predict

    row_P = np.arange(600.0)
    assert np.array_equal(cross_fit(fit, row_P, same_P, fold_P2), row_P)
    assert sorted(judged) == list(row_P)


def test_cross_fitting_tells_an_overfitted_calibration():
    """Scores that say nothing but are the same for all pairs of a person who is always genuine."""
    rng = np.random.default_rng(6)
    people = rng.random(40)
    unit = rng.integers(40, size=800)
    same_P = unit < 20
    unit_P2 = np.stack([unit, np.where(same_P, unit, (unit + 1) % 20 + 20)], axis=1)
    score_P = people[unit]
    own = fit_calibration(score_P, same_P, "isotonic")
    fitted = reliability(probability(own, score_P), same_P)
    judged = judge_calibration(score_P, same_P, fold_pairs(unit_P2), "isotonic")
    share = same_P.mean()
    assert judged["brier"] > share * (1 - share) > fitted["brier"]  # the share of all is better


def test_too_few_units_are_not_judged():
    same_P = np.array([True, False, True, False])
    unit_P2 = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    assert judge_calibration(np.array([0.9, 0.1, 0.8, 0.3]), same_P, fold_pairs(unit_P2)) == {}
