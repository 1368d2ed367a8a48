"""Embeddings to scores to metrics: arrays in, arrays out, no torch."""

from starter.verification.metrics import compare, evaluate, threshold_at_eer
from starter.verification.score import cosine

__all__ = ["compare", "cosine", "evaluate", "threshold_at_eer"]
