"""Curves against scikit-learn, bands against a bootstrap that draws the pairs one by one."""

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_fscore_support, roc_auc_score, roc_curve

from starter.report.drawing import both_ends
from starter.report.image_figures import class_scores, most_confused
from starter.report.pair_figures import POINTS, calibration, measure, thin


def made(pairs=400, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    same_P = rng.random(pairs) < 0.4
    score_P = (rng.standard_normal(pairs) + 1.2 * same_P).astype(np.float32)
    return (np.round(score_P, 1) if ties else score_P), same_P


@pytest.mark.parametrize("ties", [False, True])
def test_every_drawn_point_is_one_of_scikit_learns(ties):
    score_P, same_P = made(ties=ties)
    curve = measure("a", score_P, same_P, resamples=0)
    far, tar, _ = roc_curve(same_P, score_P, drop_intermediate=False)
    theirs = set(zip(far.tolist(), tar.tolist(), strict=True))
    assert set(zip(curve.far_T.tolist(), curve.tar_T.tolist(), strict=True)) <= theirs
    assert (curve.far_T[0], curve.far_T[-1], curve.tar_T[-1]) == (0, 1, 1)
    # The area under the drawn points is the area: thinning lost no corner.
    assert auc(curve.far_T, curve.tar_T) == pytest.approx(roc_auc_score(same_P, score_P), abs=1e-12)
    assert curve.metrics["auc"] == pytest.approx(roc_auc_score(same_P, score_P), abs=1e-12)


def test_equal_error_rate_and_tar_are_read_off_scikit_learns_curve():
    from scipy.interpolate import interp1d
    from scipy.optimize import brentq

    score_P, same_P = made()
    curve = measure("a", score_P, same_P, resamples=0)
    far, tar, _ = roc_curve(same_P, score_P)
    assert curve.eer == pytest.approx(brentq(lambda x: 1 - x - interp1d(far, tar)(x), 0, 1))
    impostor = int((~same_P).sum())
    assert min(curve.metrics["tar_at_far"]) >= 1 / impostor
    far, tar, _ = roc_curve(same_P, score_P, drop_intermediate=False)
    for rate, value in curve.metrics["tar_at_far"].items():
        assert value == pytest.approx(tar[far <= rate].max())


def brute_force(score_P, same_P, identity_P2, grid_G, resamples, seed):
    """Draws as verification.intervals documents it, then sklearn on the drawn pairs written out."""
    rng = np.random.default_rng(seed)
    units = len(same_P) if identity_P2 is None else len(np.unique(identity_P2))
    drawn_RI = rng.integers(units, size=(resamples, units))
    rows, rates = [], []
    for drawn_I in drawn_RI:
        if identity_P2 is None:
            index = drawn_I
        else:
            times = [int((drawn_I == i).sum()) for i in range(units)]
            counts = [
                times[a] if same else times[a] * times[b]
                for (a, b), same in zip(identity_P2, same_P, strict=True)
            ]
            index = np.repeat(np.arange(len(same_P)), counts)
        far, tar, _ = roc_curve(same_P[index], score_P[index], drop_intermediate=False)
        rows.append([tar[far <= rate + 1e-12].max() for rate in grid_G])
        both = np.argmax(far + tar >= 1)
        low, high = far[both - 1] + tar[both - 1], far[both] + tar[both]
        rates.append(far[both - 1] + (1 - low) / (high - low) * (far[both] - far[both - 1]))
    return np.percentile(rows, [2.5, 97.5], axis=0), np.percentile(rates, [2.5, 97.5])


@pytest.mark.parametrize("by", ["pair", "identity"])
def test_bands_equal_a_brute_force_bootstrap(by):
    score_P, same_P = made(120)
    identity_P2 = None
    if by == "identity":
        rng = np.random.default_rng(1)
        left_P = rng.integers(0, 15, 120)
        right_P = np.where(same_P, left_P, (left_P + rng.integers(1, 15, 120)) % 15)
        identity_P2 = np.stack([left_P, right_P], axis=1)
    curve = measure("a", score_P, same_P, identity_P2, resamples=60, seed=5)
    assert curve.resampled_by == by and curve.resamples == 60
    (low_G, high_G), eer = brute_force(score_P, same_P, identity_P2, curve.grid_G, 60, 5)
    np.testing.assert_allclose(curve.low_G, low_G, atol=1e-12)
    np.testing.assert_allclose(curve.high_G, high_G, atol=1e-12)
    np.testing.assert_allclose(curve.eer_interval, eer, atol=1e-12)


def test_a_long_curve_is_thinned_to_exact_points_that_stay_near_it():
    score_P, same_P = made(200_000)
    far, tar, _ = roc_curve(same_P, score_P, drop_intermediate=False)
    rows = thin(far, tar)
    assert len(rows) <= 4 * POINTS + 2 and rows[0] == 0 and rows[-1] == len(far) - 1
    at = np.interp(far, far[rows], tar[rows])
    assert np.abs(at - tar).max() < 0.01
    low = (far > 0) & (far < 1e-3)  # where the log axis looks closest
    assert np.abs(at - tar)[low].max() < 0.01


@pytest.mark.parametrize(
    ("score", "same", "why"),
    [
        ([0.1, 0.2], [1, 1], "need both kinds"),
        ([], [], "need both kinds"),
        ([np.nan, 0.2], [0, 1], "not finite"),
        ([0.1], [0, 1], "do not fit together"),
    ],
)
def test_scores_that_cannot_be_measured_are_told_why(score, same, why):
    assert why in measure("a", np.array(score, np.float32), np.array(same, bool))


def test_precision_recall_and_f1_equal_scikit_learns():
    rng = np.random.default_rng(0)
    label_M, predicted_M = rng.integers(0, 7, 300), rng.integers(0, 7, 300)
    predicted_M[predicted_M == 3] = 4  # a class that is never predicted
    scores = class_scores(label_M, predicted_M, 8)  # and one without images
    precision, recall, f1, _ = precision_recall_fscore_support(
        label_M, predicted_M, labels=range(7), zero_division=0
    )
    for name, theirs in (("precision", precision), ("recall", recall), ("F1", f1)):
        np.testing.assert_allclose(scores[name][:7], theirs, atol=1e-12)
        assert np.isnan(scores[name][7])


def test_the_most_confused_classes_are_those_with_the_most_mistakes():
    label_M = np.repeat(np.arange(20), 5)
    predicted_M = label_M.copy()
    predicted_M[:5] = 7  # 0 taken for 7
    predicted_M[50:53] = 12  # 10 taken for 12
    assert {0, 7, 10, 12} <= set(most_confused(label_M, predicted_M, 20))


def test_calibration_shows_every_bin_with_its_interval_and_count():
    bins = [
        {"predicted": 0.04, "observed": 0.0, "count": 30},
        {"predicted": 0.72, "observed": 0.5, "count": 8},
        {"predicted": 1.0, "observed": 1.0, "count": 1},
    ]
    kept = {"kind": "isotonic", "bins": bins, "prior": 0.4, "folded_by": "image"}
    figure, caption = calibration(kept | {"brier": 0.1, "ece": 0.025, "log_loss": 0.3})
    ax, below = figure.axes
    points = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_xydata(), [(4, 0), (72, 50), (100, 100)])
    assert [text.get_text() for text in below.texts] == ["30", "8", "1"]
    assert [bar.get_x() + bar.get_width() / 2 for bar in below.patches] == [5, 75, 95]
    assert "0.100; 0.240 if" in caption and "error 2.5 points" in caption
    assert "isotonic, judged on pairs of images that" in caption
    assert calibration({"kind": "platt", "slope": 1.0}) is None  # too few pairs for folds


def test_long_names_that_differ_in_their_ends_stay_different():
    names = [f"Armenian/character{k:02d}" for k in range(20)]
    short = [both_ends(name, 9) for name in names]
    assert len(set(short)) == 20 and all(len(name) == 9 for name in short)
    assert both_ends("short", 9) == "short"
