"""The records of a run folder, JSON files with a version and a checked shape: those of training."""

import json
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from starter import files
from starter.errors import UserError
from starter.recipe.schema import Recipe
from starter.recipe.schema.base import Size
from starter.recipe.schema.data import Fit

VERSION = 1
Metrics = dict[str, float | None]  # fractions by name; None: not measured

FRESH = "put a copy back, or remove the stage's folder and train again"


class Value(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def as_json(self) -> str:
        """As a program reads it."""
        return self.model_dump_json(indent=1)


class Record(Value):
    """A file of its own. `mend` tells the user what to do where it is damaged."""

    version: Literal[1] = 1
    mend: ClassVar[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file. UserError naming file and key where it is missing or of another shape."""
        try:
            value = files.read_json(path)
        except UserError as error:
            raise UserError(f"{error}; {cls.mend}") from None
        if value.get("version") != VERSION:
            raise UserError(
                f"{path}: version: this code reads {VERSION}, the file says "
                f"{value.get('version', 'none')}; {cls.mend}"
            )
        absent = next((key for key in cls.model_fields if key not in value), None)
        if absent:
            raise UserError(f"{path} is damaged: {absent} is missing; {cls.mend}")
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path} is damaged: {key}: {first['msg']}; {cls.mend}") from None

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """As `read`; None where there is no such file."""
        return cls.read(path) if path.is_file() else None

    def write(self, path: Path) -> None:
        """Replaces the file in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, self.model_dump(mode="json"))


class StageSummary(Value):
    """What a finished stage came to, as fractions; None where not measured."""

    epochs: int
    seconds: float
    images_per_second: float
    parameters: int
    accuracy: float | None
    eer: float | None
    auc: float | None
    monitor: float | None


class Summary(Record):
    """summary.json."""

    mend: ClassVar[str] = "put a copy back, or remove it and train again with --fresh STAGE"

    stages: dict[str, StageSummary]
    best: str | None


class Best(Record):
    """best.json: the stage that the gates left as the run's best; None once it is discarded."""

    mend: ClassVar[str] = Summary.mend

    stage: str | None


class Stage(Record):
    """<stage>/stage.json.

    inputs: everything that the stage's result depends on, as plain values; hash: of them. The rest
    is known once it is finished: the best checkpoint's step and metrics, what the gate said.
    """

    mend: ClassVar[str] = FRESH

    hash: str
    inputs: dict[str, JsonValue]
    finished: bool = False
    best_step: int | None = None
    metrics: Metrics = Field(default_factory=dict)
    gate: str | None = None


class Step(Record):
    """checkpoints/last.json and best.json."""

    mend: ClassVar[str] = FRESH

    step: int


class Contract(Value):
    """What a network expects of its images, as `models.Preprocessing`."""

    image_size: Size
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    colour: str
    fit: Fit = "squash"  # all that there was before it was written down


class Term(Value):
    """A loss term: whether it compares cosines, whether it has class logits."""

    cosine: bool
    classes: bool


class Parent(Value):
    """The stage that a stage started from, and the sha256 of the weights that it took."""

    stage: str
    weights: str


class Meta(Record):
    """meta.json of a checkpoint. metrics: those measured at this step, or none.

    The two checksums are of the files beside it, filled in when these are written.
    """

    mend: ClassVar[str] = FRESH

    stage: str
    step: int
    images: int
    seconds: float
    metrics: Metrics
    recipe: Recipe
    classes: tuple[str, ...]
    preprocessing: Contract
    precision: str
    terms: dict[str, Term]
    parent: Parent | None
    weights_sha256: str = ""
    resume_sha256: str = ""

    def with_checksums(self, weights: str, resume: str) -> Self:
        """The same with the checksums of both files."""
        return self.model_copy(update={"weights_sha256": weights, "resume_sha256": resume})


class Choices(Record):
    """choices.json: what a stage measured for itself; None: not measured."""

    mend: ClassVar[str] = FRESH

    precision: str | None = None
    micro_batch: int | None = None
    epochs: int | None = None


class Environment(Record):
    """environment.json: what a run was made with."""

    mend: ClassVar[str] = "remove it and run the same command again"

    commit: str | None
    python: str
    system: str
    device: str
    threads: int
    processes: int
    packages: dict[str, str | None]
