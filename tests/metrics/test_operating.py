"""Thresholds by brute force over every score, and a rate that pairs cannot tell."""

import numpy as np
import pytest

from starter.errors import UserError
from starter.metrics import evaluate, fit_decision, fold_pairs
from tests.metrics.test_calibrate import pairs_of_people


@pytest.mark.parametrize("far", [0.002, 0.01, 0.05, 0.5])
def test_a_threshold_at_a_rate_is_the_lowest_that_keeps_it(far):
    _, same_P, score_P = pairs_of_people(np.random.default_rng(0))
    found = fit_decision(score_P, same_P, far)
    accepted = [np.mean(score_P[~same_P] >= s) for s in sorted(score_P)]
    best = next(s for s, share in zip(sorted(score_P), accepted, strict=True) if share <= far)
    assert np.array_equal(score_P >= found["threshold"], score_P >= best)
    assert found["far"] == pytest.approx(np.mean(score_P[~same_P] >= best)) and found["far"] <= far
    assert found["frr"] == pytest.approx(np.mean(score_P[same_P] < best))


def test_the_default_is_where_the_errors_are_nearest():
    _, same_P, score_P = pairs_of_people(np.random.default_rng(1))
    found = fit_decision(score_P, same_P)
    assert found["threshold"] == evaluate(score_P, same_P)["thresholds"]["eer"]
    gaps = [abs(np.mean(score_P[~same_P] >= s) - np.mean(score_P[same_P] < s)) for s in score_P]
    assert abs(found["far"] - found["frr"]) == pytest.approx(min(gaps))


def test_a_rate_below_one_impostor_is_refused_and_one_impostor_is_not():
    same_P = np.arange(300) < 100  # 200 impostors
    score_P = np.linspace(1, 0, 300)
    with pytest.raises(UserError, match=r"0\.001 needs 1,000 .* there are 200"):
        fit_decision(score_P, same_P, 0.001)
    assert fit_decision(score_P, same_P, 1 / 200)["far"] == 1 / 200


def test_intervals_hold_what_a_plain_bootstrap_finds():
    rng = np.random.default_rng(2)
    _, same_P, score_P = pairs_of_people(rng, count=400)
    found = fit_decision(score_P, same_P, 0.05, resamples=2000, seed=3)
    rates, thresholds = [], []
    for _ in range(2000):
        drawn = rng.integers(400, size=400)
        kept, scores = same_P[drawn], score_P[drawn]
        rates.append(np.mean(scores[~kept] >= found["threshold"]))
        thresholds.append(fit_decision(scores, kept, 0.05)["threshold"])
    assert found["resampled_by"] == "pair"
    np.testing.assert_allclose(
        found["intervals"]["far"], np.percentile(rates, [2.5, 97.5]), atol=0.01
    )
    np.testing.assert_allclose(
        found["intervals"]["threshold"], np.percentile(thresholds, [2.5, 97.5]), atol=0.02
    )


def test_held_out_rates_are_of_other_people():
    """A few people accept everybody: a threshold fitted without them lets their pairs through."""
    rng = np.random.default_rng(4)
    unit_P2, same_P, score_P = pairs_of_people(rng, count=4000, people=40)
    score_P = score_P + 0.6 * (unit_P2 < 3).any(axis=1) * ~same_P
    found = fit_decision(
        score_P, same_P, 0.05, fold_P2=fold_pairs(unit_P2), resamples=200, identity_P2=unit_P2
    )
    assert found["held_out"]["far"] > found["far"]
    by_pair = fit_decision(score_P, same_P, 0.05, resamples=200)["intervals"]["far"]
    low, high = found["intervals"]["far"]
    assert found["resampled_by"] == "identity" and high - low > by_pair[1] - by_pair[0]
