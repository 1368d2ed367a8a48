"""Resampling against resamples written out, known standard errors, and planted dependence."""

import time

import numpy as np
import pytest

from starter.metrics import compare, evaluate
from starter.metrics.intervals import percentile_interval, resampled_by, resampled_weights
from starter.metrics.verification import METRICS, roc, sort_scores


def draw(seed: int, pairs: int, identities: int = 40):
    """score_P with ties, same_P, identity_P2; each identity shifts all its scores."""
    rng = np.random.default_rng(seed)
    same_P = rng.random(pairs) < 0.5
    identity_P2 = rng.integers(identities, size=(pairs, 2))
    other_P = (identity_P2[:, 0] + rng.integers(1, identities, size=pairs)) % identities
    identity_P2[:, 1] = np.where(same_P, identity_P2[:, 0], other_P)
    shift_I = rng.normal(size=identities)
    score_P = rng.normal(size=pairs) + 1.5 * same_P + shift_I[identity_P2].mean(axis=1)
    return score_P.round(2).astype(np.float32), same_P, identity_P2


@pytest.mark.parametrize("by_identity", [False, True])
def test_weighted_metrics_equal_metrics_of_repeated_pairs(by_identity):
    score_P, same_P, identity_P2 = draw(0, 300)
    order = sort_scores(score_P)
    given = identity_P2 if by_identity else None
    rows = 0
    for weight_RP in resampled_weights(same_P, given, 20, seed=1):
        curve = roc(order, same_P, weight_RP)
        for row, weight_P in enumerate(weight_RP):
            repeated = evaluate(np.repeat(score_P, weight_P), np.repeat(same_P, weight_P))
            for name, metric in METRICS.items():
                assert metric(curve)[row] == pytest.approx(repeated[name], abs=1e-12)
        rows += len(weight_RP)
    assert rows == 20


def test_identity_weights_are_products_of_how_often_identities_were_drawn():
    same_P = np.array([True, True, True, False, False, False])
    identity_P2 = np.array([[7, 7], [3, 3], [9, 9], [7, 3], [3, 9], [9, 7]])
    weight_RP = np.concatenate(list(resampled_weights(same_P, identity_P2, 200, seed=0)))
    genuine_R3, impostor_R3 = weight_RP[:, :3], weight_RP[:, 3:]
    np.testing.assert_array_equal(genuine_R3.sum(axis=1), 3)  # three identities drawn thrice
    np.testing.assert_array_equal(impostor_R3, genuine_R3 * np.roll(genuine_R3, -1, axis=1))


def test_pair_weights_are_draws_with_replacement():
    _, same_P, _ = draw(1, 500)
    weight_RP = np.concatenate(list(resampled_weights(same_P, None, 400, seed=0)))
    np.testing.assert_array_equal(weight_RP.sum(axis=1), 500)
    assert (weight_RP == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)


def test_unknown_identities_fall_back_to_pairs():
    score_P, same_P, identity_P2 = draw(2, 200)
    identity_P2[5, 1] = -1
    assert resampled_by(identity_P2) == "pair" == resampled_by(None)
    unknown = evaluate(score_P, same_P, resamples=50, identity_P2=identity_P2)
    assert unknown == evaluate(score_P, same_P, resamples=50)
    assert unknown["resampled_by"] == "pair"


def test_seeded_and_independent_of_the_block_size(monkeypatch):
    score_P, same_P, identity_P2 = draw(3, 200)
    options = {"resamples": 60, "identity_P2": identity_P2, "seed": 4}
    first = evaluate(score_P, same_P, **options)
    assert first == evaluate(score_P, same_P, **options)
    assert first != evaluate(score_P, same_P, **options | {"seed": 5})
    monkeypatch.setattr("starter.metrics.intervals.ELEMENTS", 700)
    assert first == evaluate(score_P, same_P, **options)


def test_auc_interval_has_the_width_of_delongs_standard_error():
    rng = np.random.default_rng(6)
    same_P = np.arange(2000) % 2 == 0
    score_P = rng.normal(size=2000) + same_P
    found = evaluate(score_P, same_P, resamples=1000)
    genuine, impostor = score_P[same_P], score_P[~same_P]
    wins = (genuine[:, None] > impostor).astype(float)
    delong = np.sqrt(wins.mean(1).var(ddof=1) / 1000 + wins.mean(0).var(ddof=1) / 1000)
    low, high = found["intervals"]["auc"]
    assert high - low == pytest.approx(2 * 1.96 * delong, rel=0.1)
    assert low < found["auc"] < high


def test_shared_identities_widen_the_interval():
    score_P, same_P, identity_P2 = draw(7, 3000, identities=20)
    widths = {}
    for name, given in (("pair", None), ("identity", identity_P2)):
        low, high = evaluate(score_P, same_P, resamples=300, identity_P2=given)["intervals"]["eer"]
        widths[name] = high - low
    assert widths["identity"] > 2 * widths["pair"]


def test_a_draw_of_one_kind_is_drawn_anew():
    same_P = np.array([True] + [False] * 3)
    found = evaluate(np.array([0.5, 0.1, 0.6, 0.2]), same_P, resamples=200)
    assert all(np.isfinite(bound).all() for bound in found["intervals"].values())
    identity_P2 = np.array([[0, 0], [0, 1], [1, 2], [0, 2]])
    weights = list(resampled_weights(same_P, identity_P2, 100, seed=0))
    assert all(w[:, same_P].any(1).all() and w[:, ~same_P].any(1).all() for w in weights)


def test_percentiles():
    assert percentile_interval(np.arange(1001.0)) == (25.0, 975.0)


def test_compare_is_paired_and_signed():
    score_P, same_P, identity_P2 = draw(8, 1000)
    same = compare(score_P, score_P, same_P, resamples=50)
    assert all(v == 0 for metric in same.values() for v in metric.values())
    better_P = score_P + 0.3 * same_P
    found = compare(score_P, better_P, same_P, resamples=300, identity_P2=identity_P2)
    assert found["eer"]["high"] < 0 < found["auc"]["low"]
    a, b = evaluate(score_P, same_P), evaluate(better_P, same_P)
    for name in ("eer", "auc"):
        assert found[name]["difference"] == pytest.approx(b[name] - a[name], abs=1e-12)
        assert found[name]["low"] <= found[name]["difference"] <= found[name]["high"]
    alone = evaluate(score_P, same_P, resamples=300, identity_P2=identity_P2)["intervals"]["eer"]
    # unpaired, the difference would vary by sqrt(2) times what one EER does
    assert found["eer"]["high"] - found["eer"]["low"] < 0.75 * (alone[1] - alone[0])


def test_a_thousand_resamples_of_six_thousand_pairs_are_quick():
    score_P, same_P, identity_P2 = draw(9, 6000, identities=5749)
    start = time.perf_counter()
    evaluate(score_P, same_P, resamples=1000, identity_P2=identity_P2)
    assert time.perf_counter() - start < 10
