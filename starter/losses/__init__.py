"""Embedding -> loss: classification heads with and without margins, pair losses, their sum."""

from starter.losses import (  # every loss of the kit registers itself
    adaptive_heads,
    binary_heads,
    center,
    linear_heads,
    pairs,
    similarity,
)
from starter.losses.base import FROM_RECIPE, LOSSES, Loss, Target, options, options_of
from starter.losses.heads import ClassHead
from starter.losses.objective import (
    Objective,
    build,
    build_objective,
    check_stage,
    needs_whole_batch,
    resolve,
)
from starter.losses.subcenter import dominant

__all__ = [
    "FROM_RECIPE",
    "LOSSES",
    "ClassHead",
    "Loss",
    "Objective",
    "Target",
    "build",
    "build_objective",
    "check_stage",
    "dominant",
    "needs_whole_batch",
    "options",
    "options_of",
    "resolve",
]
