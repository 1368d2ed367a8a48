"""What makes a stage the same stage: the hash that decides whether it is run again."""

import hashlib
import json

from starter.recipe.schema import Recipe

# Keys that say when a stage stops or what is made of it, not what it computes.
NOT_COUNTED = {"max_hours", "checkpoint_steps", "gate", "augment", "image_size"}


def identity(recipe: Recipe, stage: str, data_fingerprint: str, parent_hash: str | None) -> dict:
    """Everything a stage's result depends on, as plain values.

    Where data lies, worker counts, `verify`, `submission` and time budgets do not count.
    """
    section = recipe.stages[stage]
    data = recipe.data
    own = section.model_dump(mode="json", exclude=NOT_COUNTED)
    if section.init not in recipe.stages:
        own["init"] = None  # another run's stage, or none: its weights count, not where it lies
    return {
        "stage": own,
        "name": stage,
        "seed": recipe.seed,
        "model": recipe.model.model_dump(mode="json"),
        "augment": [
            step.model_dump(mode="json")
            for step in (recipe.augment if section.augment is None else section.augment)
        ],
        "image_size": section.image_size or data.image_size,
        "data": {"channels": data.channels, "mean": list(data.mean), "std": list(data.std),
                 "stem_size": data.image_size, "fingerprint": data_fingerprint},
        "parent": parent_hash,
    }  # fmt: skip


def identity_hash(value: dict) -> str:
    """sha256 of the canonical JSON, hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
