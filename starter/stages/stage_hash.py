"""What makes a stage the same stage: the hash that decides whether it is run again."""

import hashlib
import json

from starter import models
from starter.recipe.names import split_own
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


def identity(recipe: Recipe, stage: str, data_fingerprint: str, parent_hash: str | None) -> dict:
    """Everything a stage's result depends on, as plain values.

    A user's own network and a file of first weights count by their contents. Where data lies,
    worker counts, `verify`, `submission` and time budgets do not count.
    """
    section = recipe.stages[stage]
    data = recipe.data
    own = section.model_dump(mode="json", exclude=NOT_COUNTED)
    if section.init not in recipe.stages:
        own["init"] = None  # another run's stage, or none: its weights count, not where it lies
    return {
        **_files(recipe),
        "stage": own,
        "name": stage,
        "seed": recipe.seed,
        "model": recipe.model.model_dump(mode="json", exclude={"init_from"}) | _own_name(recipe),
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
        },
        "parent": parent_hash,
    }


def _own_name(recipe: Recipe) -> dict:
    """A user's own network is its class and its file's contents, not where the file lies."""
    name = recipe.model.backbone
    return {"backbone": split_own(name)[1]} if models.is_own(name) else {}


def _files(recipe: Recipe) -> dict:
    model, found = recipe.model, {}
    if models.is_own(model.backbone):
        found["network"] = models.source_hash(model.backbone)
    if model.init_from is not None:
        found["init_from"] = models.file_hash(model.init_from)
    return found


def identity_hash(value: dict) -> str:
    """sha256 of the canonical JSON, hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
