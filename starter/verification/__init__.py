"""Embeddings to scores to metrics: arrays in, arrays out, no torch."""

from starter.verification.folds import cross_validate
from starter.verification.identify import cmc, decide, fit_threshold, identify
from starter.verification.metrics import compare, evaluate, threshold_at_eer
from starter.verification.retrieval import retrieve
from starter.verification.score import cosine

__all__ = ["cmc", "compare", "cosine", "cross_validate", "decide", "evaluate", "fit_threshold",
           "identify", "retrieve", "threshold_at_eer"]  # fmt: skip
