"""What the doors do, callable from a notebook: train(recipe), verify(run), fuse(runs, out),
submit(run), find_lr(recipe) and draw_report(run).

Importing this imports no torch, so that a mistake in a recipe is told at once.
"""

from starter.workflow.find_lr import find_lr
from starter.workflow.fuse import fuse
from starter.workflow.leaderboard import submit
from starter.workflow.pair import verify_pair
from starter.workflow.redraw import draw_report
from starter.workflow.train import train
from starter.workflow.verify import verify

__all__ = ["draw_report", "find_lr", "fuse", "submit", "train", "verify", "verify_pair"]
