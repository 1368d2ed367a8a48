"""The records that training writes into a run folder."""

from typing import ClassVar

from starter.runs.record import Record, Value

Metrics = dict[str, float | None]


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
