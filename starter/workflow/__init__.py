"""What the doors do, callable from a notebook: train(recipe), verify(run), submit(run),
find_lr(recipe) and draw_report(run).

Importing this imports no torch, so that a mistake in a recipe is told at once.
"""

from starter.workflow.find_lr import find_lr
from starter.workflow.leaderboard import submit
from starter.workflow.redraw import draw_report
from starter.workflow.train import train
from starter.workflow.verify import verify, verify_pair

__all__ = ["draw_report", "find_lr", "submit", "train", "verify", "verify_pair"]
