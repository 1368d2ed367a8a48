"""A starter kit for image competitions: who is this, and are these two the same?"""

import importlib
import os
from typing import Any

# albumentations asks a package index for its newest version when imported; a notebook without
# internet then waits for the time-out. This must be set before its first import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`starter.train(recipe)` and `starter.verify(run)`; torch is imported at their first use."""
    if name not in ("train", "verify"):
        raise AttributeError(f"module 'starter' has no attribute '{name}'")
    return getattr(importlib.import_module("starter.api"), name)
