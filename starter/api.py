"""What the doors do, callable from a notebook: train(recipe), verify(run), fuse(runs, out),
submit(run), find_lr(recipe) and draw_report(run).

Importing this imports no torch, so that a mistake in a recipe is told at once.
"""

from starter.hooks.redraw import draw_report
from starter.inference.fuse import fuse
from starter.inference.pair import verify_pair
from starter.inference.verify import verify
from starter.kaggle.leaderboard import submit
from starter.stages.find_lr import find_lr
from starter.stages.train import train

__all__ = ["draw_report", "find_lr", "fuse", "submit", "train", "verify", "verify_pair"]
