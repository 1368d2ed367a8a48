"""One run while it is trained, and the hash that decides whether a stage is run again."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from starter import models
from starter.data import Catalog
from starter.errors import UserError
from starter.recipe.own import by_text, is_own
from starter.recipe.schema import Recipe
from starter.recipe.schema.base import Size
from starter.runs.folder import RunFolder, StageFolder
from starter.runs.records import Stage
from starter.training import checkpoint
from starter.training.build import build_learner
from starter.training.checkpoint import Checkpoint
from starter.training.learner import Learner
from starter.training.precision import pick_device
from starter.training.state import StageJob


@dataclass(frozen=True)
class Run:
    """A resolved recipe, the folder that it is trained in, its data, and where it runs."""

    recipe: Recipe
    folder: RunFolder
    catalog: Catalog
    device: torch.device

    @classmethod
    def of(cls, recipe: Recipe, catalog: Catalog) -> "Run":
        """The run of a recipe, on the first GPU or else the CPU."""
        return cls(recipe, RunFolder(Path(recipe.runs) / recipe.name), catalog, pick_device())

    def job(self, name: str, folder: StageFolder | None = None) -> StageJob:
        """What the page is given of a stage. folder: in place of the stage's own."""
        place = folder or self.folder.stage(name)
        return StageJob(name, place, self.recipe, self.catalog, self.parent(name), self.device)

    def parent(self, name: str) -> Checkpoint | None:
        """The checkpoint a stage starts from: an earlier stage's best, another run's, or None."""
        init = self.recipe.stages[name].init
        if init is None:
            return None
        if init in self.recipe.stages and not self.is_finished(init):
            raise UserError(
                f"stage {name} starts from {init}, which is not finished in {self.folder}; "
                f"run it first: --stage {init}"
            )
        own = init in self.recipe.stages
        place = self.folder.stage(init) if own else StageFolder(Path(init).expanduser())
        best = checkpoint.find(place, "best")
        if best is None:
            raise UserError(f"stages.{name}.init: {place} holds no checkpoint of a stage")
        return best

    def is_finished(self, name: str) -> bool:
        """Whether a stage was trained to its end."""
        record = self.folder.read_stage(name)
        return record is not None and record.finished

    def new_record(self, name: str, parent_hash: str | None) -> Stage:
        """The record of a stage with the recipe's settings, which is not finished."""
        inputs = inputs_of(self.recipe, name, self.catalog.fingerprint(), parent_hash)
        return Stage(hash=hash_of(inputs), inputs=inputs)

    def learner(self, name: str) -> Learner:
        """A new learner of a stage, for counting and checking."""
        size = self.recipe.stages[name].image_size or self.recipe.data.image_size
        return build_learner(self.recipe, name, len(self.catalog.classes), size)


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
    if section.patience is None:
        own.pop("patience")  # stages begun before there was this key stay what they are
    if section.init not in recipe.stages:
        own["init"] = None  # another run's stage, or none: its weights count, not where it lies
    model = recipe.model
    first = {} if model.init_from is None else {"init_from": models.file_hash(model.init_from)}
    other_fit = {} if data.fit == "squash" else {"fit": data.fit}  # runs from before it stand
    value = first | {
        "stage": own,
        "name": stage,
        "seed": recipe.seed,
        "model": model.model_dump(mode="json", exclude={"init_from"}),
        "augment": [
            step.model_dump(mode="json")
            for step in (recipe.augment if section.augment is None else section.augment)
        ],
        "image_size": _plain(section.image_size or data.image_size),
        "data": {
            "channels": data.channels,
            "mean": list(data.mean),
            "std": list(data.std),
            "stem_size": _plain(data.image_size),
            "fingerprint": data_fingerprint,
            "reader": data.layout if is_own(data.layout) else None,  # by its file's text
            **other_fit,
        },
        "parent": parent_hash,
    }
    return by_text(value)


def _plain(size: Size) -> int | list[int]:
    return size if isinstance(size, int) else list(size)


def hash_of(value: dict) -> str:
    """sha256 of the canonical JSON, hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
