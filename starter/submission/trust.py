"""Whether validation can be trusted: local metrics against the leaderboard's scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from starter.submission.ledger import Entry

METRICS = ("combined", "accuracy", "eer")


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
