"""Embeddings to scores to metrics: arrays in, arrays out, no torch."""

from starter.verification.calibrate import (
    fit_calibration,
    judge_calibration,
    log_likelihood_ratio,
    probability,
)
from starter.verification.crossfit import cross_fit, fold_pairs
from starter.verification.folds import cross_validate
from starter.verification.identify import cmc, decide, fit_threshold, identify
from starter.verification.metrics import compare, evaluate, threshold_at_eer
from starter.verification.operating import fit_decision, require_resolved
from starter.verification.retrieval import retrieve
from starter.verification.score import cosine

__all__ = ["cmc", "compare", "cosine", "cross_fit", "cross_validate", "decide", "evaluate",
           "fit_calibration", "fit_decision", "fit_threshold", "fold_pairs", "identify",
           "judge_calibration", "log_likelihood_ratio", "probability", "require_resolved",
           "retrieve", "threshold_at_eer"]  # fmt: skip
