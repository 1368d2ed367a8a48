"""Fusion against plain loops over pairs and images, and weights against scikit-learn.

Shapes: S runs, N images, P pairs, D embedding, M images to classify, K classes.
"""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from starter.metrics import cosine, evaluate, fold_pairs
from starter.metrics.fuse import (
    equal_shares,
    fit_weights,
    fuse_embeddings,
    held_out_eer,
    mean_classes,
    shares,
    top_classes,
    z_scored,
)
from tests.metrics.test_calibrate import pairs_of_people


def runs_of_embeddings(rng, count=60):
    """Three runs of other dimensions, lengths and spreads."""
    return [
        (rng.normal(size=(count, d)) * scale + lean).astype(np.float32)
        for d, scale, lean in ((8, 1, 0), (5, 100, 30), (16, 1e-3, 4e-3))
    ]


def plain_cosine(a, b):
    a, b = a.astype(float), b.astype(float)
    return sum(x * y for x, y in zip(a, b, strict=True)) / (
        sum(x * x for x in a) ** 0.5 * sum(y * y for y in b) ** 0.5
    )


def test_concatenation_is_the_mean_of_cosines():
    rng = np.random.default_rng(0)
    embs, (a_P, b_P) = runs_of_embeddings(rng), rng.integers(60, size=(2, 40))
    found_P = cosine(fuse_embeddings(embs, equal_shares(3)), a_P, b_P)
    for a, b, found in zip(a_P, b_P, found_P, strict=True):
        assert found == pytest.approx(np.mean([plain_cosine(e[a], e[b]) for e in embs]), abs=1e-6)


def test_the_mean_of_z_scores_up_to_one_line_for_all_pairs():
    rng = np.random.default_rng(1)
    embs, (a_P, b_P) = runs_of_embeddings(rng), rng.integers(60, size=(2, 300))
    score_PS = np.stack([cosine(e, a_P, b_P) for e in embs], axis=1)
    expected = []
    for row in score_PS:
        zs = [(x - np.mean(c)) / np.std(c) for x, c in zip(row, score_PS.T, strict=True)]
        expected.append(sum(zs) / 3)
    found_P = cosine(fuse_embeddings(embs, shares(equal_shares(3), score_PS)), a_P, b_P)
    line = np.polyfit(found_P.astype(float), expected, 1)
    assert line[0] > 0
    np.testing.assert_allclose(np.polyval(line, found_P.astype(float)), expected, atol=1e-4)
    # and not that of the plain mean, whose shares differ
    assert (
        np.ptp(np.polyval(np.polyfit(score_PS.mean(1), expected, 1), score_PS.mean(1)) - expected)
        > 0.1
    )


def test_shares_sum_to_one_and_a_run_that_says_nothing_has_none():
    score_PS = np.random.default_rng(2).normal(size=(50, 3)) * [1, 0.1, 0]
    found = shares(np.array([0.5, 0.2, 0.3]), score_PS)
    assert found[2] == 0 and found.sum() == pytest.approx(1)
    assert found[1] / found[0] == pytest.approx(0.4 * score_PS[:, 0].std() / score_PS[:, 1].std())
    assert (z_scored(score_PS)[:, 2] == 0).all()
    np.testing.assert_allclose(shares(np.ones(1), np.zeros((4, 1))), [1])
    left = fuse_embeddings([np.ones((2, 3)), np.ones((2, 5)), np.ones((2, 7))], found)
    assert left.shape == (2, 8)


def scores_of_runs(rng, noises, count=4000):
    """score_PS: the same truth with more or less noise of each run's own."""
    unit_P2, same_P, score_P = pairs_of_people(rng, count)
    columns = [score_P + rng.normal(scale=n, size=count) for n in noises]
    return unit_P2, same_P, np.stack(columns, axis=1)


def test_weights_are_scikit_learns_slopes_where_none_is_negative():
    _, same_P, score_PS = scores_of_runs(np.random.default_rng(3), (0.1, 0.3, 0.6))
    model = LogisticRegression(C=1e6, class_weight="balanced", tol=1e-8)
    slope_S = model.fit(z_scored(score_PS), same_P).coef_[0]
    assert (slope_S > 0).all()
    found = fit_weights(score_PS, same_P)
    np.testing.assert_allclose(found, slope_S / slope_S.sum(), atol=2e-3)
    assert found[0] > found[1] > found[2]
    fused = evaluate(z_scored(score_PS) @ found, same_P)
    assert fused["eer"] < min(evaluate(c, same_P)["eer"] for c in score_PS.T)


def test_a_run_that_is_wrong_has_no_weight_and_none_at_all_share_alike():
    _, same_P, score_PS = scores_of_runs(np.random.default_rng(4), (0.1, 0.2))
    wrong = np.column_stack([score_PS, -score_PS[:, 0] + score_PS[:, 1] * 0.1])
    assert fit_weights(wrong, same_P)[2] == 0
    np.testing.assert_allclose(fit_weights(-score_PS, same_P), [0.5, 0.5])


def test_separable_scores_give_finite_weights():
    same_P = np.arange(40) < 20
    score_PS = np.column_stack([np.where(same_P, 0.9, 0.1), np.where(same_P, 0.8, 0.2)])
    np.testing.assert_allclose(fit_weights(score_PS, same_P), [0.5, 0.5], atol=1e-3)


def test_held_out_weights_of_noise_gain_nothing():
    """Twenty runs of pure noise on few pairs: fitted on themselves they seem to tell something."""
    rng = np.random.default_rng(5)
    unit_P2, same_P, _ = pairs_of_people(rng, count=300, people=30)
    noise_PS = rng.normal(size=(300, 20))
    weight_S = fit_weights(noise_PS, same_P)
    seeming = evaluate(z_scored(noise_PS) @ weight_S, same_P)["eer"]
    held_out = held_out_eer(noise_PS, same_P, fold_pairs(unit_P2))
    assert seeming < 0.42 < held_out


def test_mean_of_probabilities_by_a_plain_loop():
    rng = np.random.default_rng(6)
    probability_SMK = rng.dirichlet(np.full(10, 0.3), size=(3, 200)).astype(np.float32)
    tops = [top_classes(p, most=64) for p in probability_SMK]
    found = mean_classes(tops, 10, rows=64)
    for m in range(200):
        mean = [sum(float(p[m, k]) for p in probability_SMK) / 3 for k in range(10)]
        assert found[m] == mean.index(max(mean))


def test_the_first_of_the_top_is_the_argmax_and_few_kept_classes_rarely_matter():
    rng = np.random.default_rng(7)
    value_MK = np.round(rng.normal(size=(50, 30)), 1)  # with ties
    class_MT, kept_MT = top_classes(value_MK, most=5)
    assert np.array_equal(class_MT[:, 0], value_MK.argmax(1))
    assert np.array_equal(kept_MT, -np.sort(-value_MK, axis=1)[:, :5].astype("f4"))
    probability_SMK = rng.dirichlet(np.full(500, 0.02), size=(3, 300))
    few = mean_classes([top_classes(p, 64) for p in probability_SMK], 500)
    assert np.array_equal(few, probability_SMK.mean(0).argmax(1))
