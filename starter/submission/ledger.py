"""The ledger runs/submissions.jsonl, one line per submission; local metrics against its scores.

A line is written before a file is sent (status "sending", no reference), gets its reference when
Kaggle has taken the file and its score when there is one, and is removed when Kaggle refused the
file. So a line without a reference means: Kaggle may have this file, look there first.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from pydantic import ConfigDict, ValidationError

from starter import files
from starter.errors import UserError
from starter.submission.facts import Facts

NAME = "submissions.jsonl"
METRICS = ("combined", "accuracy", "eer")


class SubmittedBefore(UserError):
    """The file is in the ledger; sending it again would cost an allowance and tell nothing."""

    exit_code = 7


class Entry(Facts):
    """A line of the ledger.

    time: UTC, ISO 8601. ref: Kaggle's reference; None before Kaggle has taken the file. sha256: of
    the file. after: the newest reference when it was sent. public, private: scores, None where
    there are none. error: Kaggle's reason.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    time: str = ""
    competition: str
    ref: int | None
    file: str = ""
    sha256: str
    message: str = ""
    after: int | None = None
    status: str  # "sending", or as Kaggle says: "pending", "complete", "error"
    public: float | None = None
    private: float | None = None
    error: str | None = None


class Ledger:
    """The submissions of all runs in a folder, oldest first."""

    def __init__(self, path: Path):
        self.path = path

    def entries(self, competition: str | None = None) -> list[Entry]:
        """The lines (of one competition). UserError naming a damaged one."""
        if not self.path.is_file():
            return []
        entries = []
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    entries.append(Entry.model_validate_json(line))
                except ValidationError as error:
                    first = error.errors()[0]
                    key = ".".join(map(str, first["loc"]))
                    raise UserError(
                        f"{self.path}:{number}: damaged: {key and key + ': '}{first['msg']}; "
                        "correct or delete this line"
                    ) from None
        return [e for e in entries if competition in (None, e.competition)]

    def add(self, entry: Entry) -> Entry:
        """Appends a line; it is on the disk when this returns."""
        with self._rewritten() as entries:
            entries.append(entry)
        return entry

    def change(self, entry: Entry, **values: object) -> Entry:
        """Changes the line that equals `entry`; returns it as it is now."""
        changed = entry.model_copy(update=values)
        with self._rewritten() as entries:
            if entry not in entries:
                raise UserError(f"{self.path}: another process changed the line of {entry.file}")
            entries[entries.index(entry)] = changed
        return changed

    def remove(self, entry: Entry) -> None:
        """Removes the line of a file that Kaggle refused."""
        with self._rewritten() as entries:
            entries[:] = [other for other in entries if other != entry]

    @contextlib.contextmanager
    def _rewritten(self) -> Iterator[list[Entry]]:
        """The lines to change; replaced in one step, one process at a time."""
        with files.lock(self.path.with_name(f".{self.path.name}.lock")):
            entries = self.entries()
            yield entries
            files.write_text(self.path, "".join(f"{e.model_dump_json()}\n" for e in entries))


@dataclass(frozen=True)
class Trust:
    """How well a local metric predicted a score, as fractions.

    percent: the leaderboard's scores were read as percent, because one is above 1.5. points:
    (local, leaderboard). correlation: Pearson; None under 3 points or without spread. interval:
    95 %; None under 4 points. gap: mean of leaderboard less local. gap_deviation: None under 2.
    """

    metric: str
    score: str
    percent: bool
    points: list[tuple[float, float]]
    correlation: float | None
    interval: tuple[float, float] | None
    gap: float
    gap_deviation: float | None


def trust(
    entries: Sequence[Entry],
    metric: str | None = None,
    score: Literal["public", "private"] = "public",
) -> Trust | None:
    """Compares a metric of METRICS (None: the one that most have) with the scores of submissions.

    None where no submission has both.
    """
    points = {
        name: [
            (local, board)
            for entry in entries
            if (local := getattr(entry.local, name, None)) is not None
            and (board := getattr(entry, score)) is not None
        ]
        for name in METRICS
    }
    name = metric or max(METRICS, key=lambda name: len(points[name]))
    chosen = points[name]
    if not chosen:
        return None
    percent = any(board > 1.5 for _, board in chosen)
    if percent:
        chosen = [(local, board / 100) for local, board in chosen]
    gaps = [board - local for local, board in chosen]
    correlation, interval = _pearson(chosen)
    return Trust(
        metric=name,
        score=score,
        percent=percent,
        points=chosen,
        correlation=correlation,
        interval=interval,
        gap=fmean(gaps),
        gap_deviation=stdev(gaps) if len(gaps) > 1 else None,
    )


def _pearson(points: list[tuple[float, float]]) -> tuple[float | None, tuple[float, float] | None]:
    """The correlation and its 95 % interval, each where the points allow it."""
    x, y = zip(*points, strict=True)
    if len(points) < 3 or max(x) - min(x) < 1e-9 or max(y) - min(y) < 1e-9:
        return None, None
    from scipy.stats import pearsonr

    fitted = pearsonr(x, y)
    low, high = fitted.confidence_interval(0.95)
    return float(fitted.statistic), (float(low), float(high)) if len(points) > 3 else None
