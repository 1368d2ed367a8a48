"""The records that training writes into a run folder."""

from typing import ClassVar, Self

from pydantic import Field, JsonValue

from starter.recipe.schema import Recipe
from starter.runs.record import Record, Value

Metrics = dict[str, float | None]  # fractions by name; None: not measured

FRESH = "put a copy back, or remove the stage's folder and train again"


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

    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    colour: str


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
