"""What a stage is given, and where it stands: one object that an update, a checkpoint and the
hooks share. Randomness is a function of where it stands, so no generator's state is carried."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from starter.data import Catalog, load_pack
from starter.recipe.schema import Recipe, StageSection
from starter.recipe.schema.base import Size
from starter.runs.folder import StageFolder
from starter.training.checkpoint import Checkpoint
from starter.training.learner import AveragedWeights, Learner
from starter.training.precision import Precision
from starter.training.schedules import Schedule


@dataclass(frozen=True)
class StageJob:
    """What a stage is given. parent: the checkpoint it starts from, or None."""

    name: str
    folder: StageFolder
    recipe: Recipe
    catalog: Catalog
    parent: Checkpoint | None
    device: torch.device

    @property
    def section(self) -> StageSection:
        """The stage's own settings, `train:` merged in."""
        return self.recipe.stages[self.name]

    @property
    def image_size(self) -> Size:
        """Pixels a side in this stage, or height and width."""
        return self.section.image_size or self.recipe.data.image_size

    def pack(self) -> np.ndarray:
        """The catalog's images at this stage's size, image_NHWC uint8; built where missing."""
        data = self.recipe.data
        cache = Path(data.cache)
        return load_pack(self.catalog, self.image_size, data.channels, cache, data.fit)

    @property
    def class_count_K(self) -> torch.Tensor:
        """Training images of each class, int64."""
        label_M = self.catalog.label_N[self.catalog.index("train")]
        count_K = np.bincount(label_M[label_M >= 0], minlength=len(self.catalog.classes))
        return torch.from_numpy(count_K)


@dataclass
class TrainState:
    """A stage in training: what an update changes, and how far it has come.

    section: the stage's settings, with numbers where they said `auto` or `minutes`.
    steps: updates in the whole stage; per_epoch: updates in an epoch; step: updates done.
    model: (image_BCHW, target, progress) -> (loss, each term's loss); embedder and losses at
        once, wrapped for several processes. It is made anew where freezing ends.
    best_step, best_value: the evaluated epoch that is best by `monitor` so far.
    waited: evaluations since then, none of them better.
    images: those trained on so far. learning_rate: optimizer.lr at the last update.
    """

    learner: Learner
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    scaler: torch.amp.GradScaler
    average: AveragedWeights | None
    precision: Precision
    device: torch.device
    section: StageSection
    seed: int
    steps: int
    per_epoch: int
    model: Any = None
    wrapped_frozen: bool | None = None  # whether the backbone was frozen when `model` was wrapped
    step: int = 0
    best_step: int = 0
    best_value: float | None = None
    waited: int = 0
    images: int = 0
    learning_rate: float = 0.0

    @property
    def evaluated(self) -> Learner:
        """The weights that evaluation, checkpoints and later stages use."""
        return self.average.module if self.average else self.learner

    @property
    def out_of_patience(self) -> bool:
        """Whether `patience` ends the stage before its length is reached."""
        return self.waited == self.section.patience and self.step < self.steps

    @property
    def done(self) -> bool:
        """Whether the stage is trained."""
        return self.step == self.steps or self.out_of_patience

    @property
    def backbone_frozen(self) -> bool:
        """Whether the next update leaves the backbone as it is."""
        return self.step < round(self.section.freeze.backbone * self.per_epoch)


def stage_seed(seed: int, stage: str) -> int:
    """A seed of the stage's own, so that two stages do not see the same order and masks."""
    return int(np.random.SeedSequence([seed, zlib.crc32(stage.encode())]).generate_state(1)[0])


def seed_update(*numbers: int) -> torch.Generator:
    """Seeds torch's own generators (stochastic depth, dropout) and returns one for mixing."""
    state = np.random.SeedSequence(numbers).generate_state(2)
    torch.manual_seed(int(state[0]))
    return torch.Generator().manual_seed(int(state[1]))
