"""What listens to a stage: progress, metrics.jsonl, the loss watch, the report's data, trackers."""

from starter.hooks.base import Hook, Hooks

__all__ = ["Hook", "Hooks"]
