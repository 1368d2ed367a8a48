"""Embedding -> loss: classification heads with and without margins, pair losses, their sum."""

from starter.losses.heads import FROM_RECIPE, ClassHead, Mixed, Target
from starter.losses.objective import Objective, build, build_objective
from starter.losses.subcenter import dominant

__all__ = [
    "FROM_RECIPE",
    "ClassHead",
    "Mixed",
    "Objective",
    "Target",
    "build",
    "build_objective",
    "dominant",
]
