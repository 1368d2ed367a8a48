"""What makes a stage the same stage: the hash that decides whether it is run again."""

import hashlib
import json

from starter import models
from starter.recipe.own import by_text, is_own
from starter.recipe.schema import Recipe

# Keys that say when a stage stops or what is made of it, not what it computes.
NOT_COUNTED = {
    "max_hours",
    "checkpoint_steps",
    "gate",
    "augment",
    "image_size",
    "grad_checkpointing",
}


def inputs_of(recipe: Recipe, stage: str, data_fingerprint: str, parent_hash: str | None) -> dict:
    """Everything a stage's result depends on, as plain values.

    Files of the user's own and of first weights count by their contents. Where data lies,
    worker counts, `verify`, `submission` and time budgets do not count.
    """
    section = recipe.stages[stage]
    data = recipe.data
    own = section.model_dump(mode="json", exclude=NOT_COUNTED)
    if section.init not in recipe.stages:
        own["init"] = None  # another run's stage, or none: its weights count, not where it lies
    model = recipe.model
    first = {} if model.init_from is None else {"init_from": models.file_hash(model.init_from)}
    value = first | {
        "stage": own,
        "name": stage,
        "seed": recipe.seed,
        "model": model.model_dump(mode="json", exclude={"init_from"}),
        "augment": [
            step.model_dump(mode="json")
            for step in (recipe.augment if section.augment is None else section.augment)
        ],
        "image_size": section.image_size or data.image_size,
        "data": {
            "channels": data.channels,
            "mean": list(data.mean),
            "std": list(data.std),
            "stem_size": data.image_size,
            "fingerprint": data_fingerprint,
            "reader": data.layout if is_own(data.layout) else None,  # by its file's text
        },
        "parent": parent_hash,
    }
    return by_text(value)


def hash_of(value: dict) -> str:
    """sha256 of the canonical JSON, hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
