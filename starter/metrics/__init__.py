"""Embeddings to scores to metrics: arrays in, arrays out, no torch."""

from starter.metrics.calibrate import (
    fit_calibration,
    judge_calibration,
    log_likelihood_ratio,
    probability,
)
from starter.metrics.crossfit import cross_fit, fold_pairs
from starter.metrics.folds import cross_validate
from starter.metrics.fuse import (
    equal_shares,
    fit_weights,
    fuse_embeddings,
    held_out_eer,
    mean_classes,
    shares,
    softmax,
    top_classes,
)
from starter.metrics.identify import cmc, decide, fit_threshold, identify
from starter.metrics.operating import fit_decision, require_resolved
from starter.metrics.registry import (
    better,
    check,
    combined,
    less_is_better,
    measure,
    monitored,
    try_out,
)
from starter.metrics.retrieval import retrieve
from starter.metrics.score import cosine
from starter.metrics.verification import compare, evaluate, threshold_at_eer

__all__ = [
    "better",
    "check",
    "cmc",
    "combined",
    "compare",
    "cosine",
    "cross_fit",
    "cross_validate",
    "decide",
    "equal_shares",
    "evaluate",
    "fit_calibration",
    "fit_decision",
    "fit_threshold",
    "fit_weights",
    "fold_pairs",
    "fuse_embeddings",
    "held_out_eer",
    "identify",
    "judge_calibration",
    "less_is_better",
    "log_likelihood_ratio",
    "mean_classes",
    "measure",
    "monitored",
    "probability",
    "require_resolved",
    "retrieve",
    "shares",
    "softmax",
    "threshold_at_eer",
    "top_classes",
    "try_out",
]
