"""From a score to a probability that a pair is the same identity.

The probability holds where genuine pairs are as frequent as among the labelled pairs (`prior`).
What it says whatever their frequency is the log-likelihood ratio, logit(p) - logit(prior).

Shapes: P pairs, T thresholds of a step function.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from starter.metrics.folds import cross_fit

Kind = Literal["platt", "isotonic"]


def fit_calibration(
    score_P: np.ndarray, same_P: np.ndarray, kind: Kind = "platt", prior: float | None = None
) -> dict:
    """Fits score -> probability.

    platt: 1 / (1 + exp(-(slope * score + intercept))) with Platt's smoothed targets (Platt 1999,
    section 2.2: (G+1)/(G+2) and 1/(F+2)), so separable scores do not make it a step. isotonic: the
    rising step function of least squares, linear between steps, kept 1/(P+2) away from 0 and 1.

    Args:
        prior: share of genuine pairs to fit for; the pairs' own by default.
    Returns:
        kind, prior and pairs, with slope and intercept, or score and probability (T lists).
    """
    score_P, same_P = np.asarray(score_P, np.float64), np.asarray(same_P, bool)
    genuine, impostor = int(same_P.sum()), int((~same_P).sum())
    assert genuine and impostor
    prior = genuine / len(same_P) if prior is None else prior
    weight_P = np.where(same_P, prior / genuine, (1 - prior) / impostor) * len(same_P)
    shared: dict = {"kind": kind, "prior": prior, "pairs": len(same_P)}
    if kind == "platt":
        target_P = np.where(same_P, (genuine + 1) / (genuine + 2), 1 / (impostor + 2))
        return shared | _fit_platt(score_P, target_P, weight_P)
    return shared | _fit_isotonic(score_P, same_P, weight_P)


def probability(calibration: Mapping, score_P: np.ndarray) -> np.ndarray:
    """probability_P float64 in (0, 1) of scores, by what fit_calibration returned."""
    score_P = np.asarray(score_P, np.float64)
    if calibration["kind"] == "platt":
        logit_P = calibration["slope"] * score_P + calibration["intercept"]
        return 0.5 * (1 + np.tanh(logit_P / 2))  # no overflow
    edge = 1 / (calibration["pairs"] + 2)
    step_P = np.interp(score_P, calibration["score"], calibration["probability"])
    return np.clip(step_P, edge, 1 - edge)


def log_likelihood_ratio(calibration: Mapping, score_P: np.ndarray) -> np.ndarray:
    """Natural log of how many times likelier a genuine pair is to score so than an impostor."""
    probability_P, prior = probability(calibration, score_P), calibration["prior"]
    edge = np.finfo(np.float64).tiny
    odds_P = np.maximum(probability_P, edge) / np.maximum(1 - probability_P, edge)
    return np.log(odds_P) - np.log(prior / (1 - prior))


def judge_calibration(
    score_P: np.ndarray, same_P: np.ndarray, fold_P2: np.ndarray, kind: Kind = "platt"
) -> dict:
    """How good probabilities are on pairs of other identities (cross-fitted, see `cross_fit`).

    Returns:
        bins, brier, log_loss, ece as `reliability`; empty where the folds are too poor for it.
    """
    prior = float(np.mean(same_P))

    def fit(part_P: np.ndarray, same: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        fitted = fit_calibration(part_P, same, kind, prior)
        return lambda others_P: probability(fitted, others_P)

    probability_P = cross_fit(
        fit, np.asarray(score_P, np.float64), np.asarray(same_P, bool), fold_P2
    )
    return {} if probability_P is None else reliability(probability_P, same_P)


def reliability(probability_P: np.ndarray, same_P: np.ndarray, bins: int = 10) -> dict:
    """Predicted against observed.

    Returns:
        bins: of equal width over [0, 1], empty ones left out: {"predicted": mean probability,
        "observed": share of genuine pairs, "count"}; brier: mean squared error; log_loss: mean, in
        nats; ece: mean |predicted - observed| over the bins, each weighted by its count.
    """
    same_P = np.asarray(same_P, bool)
    number_P = np.minimum((probability_P * bins).astype(int), bins - 1)
    rows = [
        {
            "predicted": float(probability_P[in_P].mean()),
            "observed": float(same_P[in_P].mean()),
            "count": int(in_P.sum()),
        }
        for in_P in (number_P == b for b in range(bins))
        if in_P.any()
    ]
    right_P = np.where(same_P, probability_P, 1 - probability_P)
    gaps = sum(row["count"] * abs(row["predicted"] - row["observed"]) for row in rows)
    return {
        "bins": rows,
        "brier": float(np.mean((probability_P - same_P) ** 2)),
        "log_loss": float(-np.log(np.maximum(right_P, np.finfo(np.float64).tiny)).mean()),
        "ece": float(gaps / len(same_P)),
    }


def _fit_platt(score_P: np.ndarray, target_P: np.ndarray, weight_P: np.ndarray) -> dict:
    from sklearn.linear_model import LogisticRegression

    # A target t is t of a genuine pair and 1 - t of an impostor. Scores are scaled, so that the
    # solver and its (negligible) penalty see numbers around 1 whatever the scores' range.
    centre, spread = score_P.mean(), max(score_P.std(), 1e-12)
    scaled_P1 = ((score_P - centre) / spread)[:, None]
    both = np.concatenate([np.ones(len(score_P), bool), np.zeros(len(score_P), bool)])
    weights = np.concatenate([weight_P * target_P, weight_P * (1 - target_P)])
    model = LogisticRegression(C=1e9, tol=1e-8, max_iter=1000)
    model.fit(np.concatenate([scaled_P1, scaled_P1]), both, sample_weight=weights)
    slope = float(model.coef_[0, 0] / spread)
    return {"slope": slope, "intercept": float(model.intercept_[0] - slope * centre)}


def _fit_isotonic(score_P: np.ndarray, same_P: np.ndarray, weight_P: np.ndarray) -> dict:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1)
    model.fit(score_P, same_P.astype(np.float64), sample_weight=weight_P)
    return {"score": model.X_thresholds_.tolist(), "probability": model.y_thresholds_.tolist()}
