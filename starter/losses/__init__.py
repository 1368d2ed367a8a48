"""Embedding -> loss: classification heads with and without margins, pair losses, their sum."""

from starter.losses.heads import ClassHead, Mixed, Target
from starter.losses.objective import Objective, build, build_objective

__all__ = ["ClassHead", "Mixed", "Objective", "Target", "build", "build_objective"]
