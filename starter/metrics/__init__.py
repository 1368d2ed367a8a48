"""Embeddings to scores to metrics: arrays in, arrays out, no torch."""

from starter.metrics.calibrate import (
    fit_calibration,
    judge_calibration,
    log_likelihood_ratio,
    probability,
)
from starter.metrics.folds import cross_fit, cross_validate, fold_pairs
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
from starter.metrics.identify import cmc, decide, fit_known, fit_threshold, identify, retrieve
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
from starter.metrics.score import cosine
from starter.metrics.verification import compare, evaluate, threshold_at_eer
