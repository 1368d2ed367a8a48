"""One run while it is trained."""

from dataclasses import dataclass
from pathlib import Path

import torch

from starter.data import Catalog
from starter.errors import UserError
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder, StageFolder
from starter.runs.records import Stage
from starter.stages.stage_hash import hash_of, inputs_of
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
