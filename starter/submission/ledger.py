"""The ledger runs/submissions.jsonl: a line per submission; whether validation can be trusted.

A line is written before a file is sent (status "sending", no reference), gets its reference when
Kaggle has taken it and its score when there is one, and is taken out when Kaggle refused the file.
So a line without a reference means: this may be with Kaggle, look there first.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import fmean, stdev

from starter.errors import UserError

NAME = "submissions.jsonl"
METRICS = ("combined", "accuracy", "eer")
NEEDED = ("competition", "ref", "sha256", "status")


class SubmittedBefore(UserError):
    """The file is in the ledger; sending it again would cost an allowance and tell nothing."""

    exit_code = 7


class Ledger:
    """The submissions of all runs in a folder, oldest first.

    Keys of a line: time (UTC), competition, ref, file, sha256, run, recipe, weights, stage, commit,
    message, after (the newest reference when it was sent), local (fractions, with intervals),
    status ("sending", "pending", "complete", "error"), public, private, error.
    """

    def __init__(self, path: Path):
        self.path = path

    def entries(self) -> list[dict]:
        """Every line. UserError naming a damaged one, before anything is sent."""
        if not self.path.is_file():
            return []
        found = []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                absent = [key for key in NEEDED if key not in entry]
            except (json.JSONDecodeError, TypeError) as error:
                raise UserError(f"{self.path}:{number}: damaged ({error}): mend it") from None
            if not isinstance(entry, dict) or absent:
                raise UserError(f"{self.path}:{number}: damaged (no line of the ledger): mend it")
            found.append(entry)
        return found

    def of_file(self, sha256: str, competition: str) -> list[dict]:
        """The lines of one file's submissions to one competition."""
        return [
            e for e in self.entries() if (e["sha256"], e["competition"]) == (sha256, competition)
        ]

    def add(self, entry: dict) -> dict:
        """Appends a line and returns it as it reads back; it is on the disk by then."""
        with self._rewritten() as entries:
            entries.append(json.loads(json.dumps(entry)))
        return entries[-1]

    def change(self, entry: dict, **values: object) -> dict:
        """Changes the line that equals `entry`; returns it as it is now."""
        with self._rewritten() as entries:
            for i, other in enumerate(entries):
                if other == entry:
                    entries[i] = entry | values
                    return entries[i]
        raise UserError(f"{self.path}: another process changed the line of {entry['file']}")

    def remove(self, entry: dict) -> None:
        """Takes out the line of a file that Kaggle refused."""
        with self._rewritten() as entries, suppress(ValueError):
            entries.remove(entry)

    @contextmanager
    def _rewritten(self) -> Iterator[list[dict]]:
        """The lines to change; replaced whole, one process at a time where the system can lock."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_name(f".{self.path.name}.lock"), "w") as lock:
            with suppress(ImportError):  # Windows has no fcntl
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self.entries()
            yield entries
            part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
            with open(part, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(entry) + "\n" for entry in entries)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)


def sha256_of(path: Path) -> str:
    """sha256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def trust(entries: list[dict], metric: str | None = None, score: str = "public") -> dict | None:
    """How far the local metric told the score on the leaderboard.

    Args:
        metric: one of METRICS; None: the first that most scored submissions have.
        score: "public" or "private".
    Returns:
        metric, score, points (local, leaderboard), correlation (Pearson; None under 3 points or
        without spread), interval (95 %, Fisher; None under 4), gap (mean of leaderboard less
        local), gap_deviation (None under 2). Fractions: scores of which one is above 1.5 are all
        read as percent (`percent`). None without any scored submission.
    """
    scored = [e for e in entries if e.get(score) is not None and e.get("local")]
    counts = {m: sum(e["local"].get(m) is not None for e in scored) for m in METRICS}
    name = metric or max(METRICS, key=counts.__getitem__)
    if not counts[name]:
        return None
    chosen = [(e["local"][name], e[score]) for e in scored if e["local"].get(name) is not None]
    percent = any(theirs > 1.5 for _, theirs in chosen)
    points = [(mine, theirs / 100 if percent else theirs) for mine, theirs in chosen]
    gaps = [theirs - mine for mine, theirs in points]
    r = _correlation(points)
    return {
        "metric": name,
        "score": score,
        "percent": percent,
        "points": points,
        "correlation": r,
        "interval": None if r is None else _fisher(r, len(points)),
        "gap": fmean(gaps),
        "gap_deviation": stdev(gaps) if len(gaps) > 1 else None,
    }


def _correlation(points: list[tuple[float, float]]) -> float | None:
    if len(points) < 3:
        return None
    x_bar, y_bar = fmean(x for x, _ in points), fmean(y for _, y in points)
    xy = math.fsum((x - x_bar) * (y - y_bar) for x, y in points)
    xx = math.fsum((x - x_bar) ** 2 for x, _ in points)
    yy = math.fsum((y - y_bar) ** 2 for _, y in points)
    if xx <= 1e-18 or yy <= 1e-18:
        return None
    return max(-1.0, min(1.0, xy / math.sqrt(xx * yy)))


def _fisher(r: float, n: int) -> tuple[float, float] | None:
    """95 % interval of a correlation of n points (Fisher 1915)."""
    if n < 4:
        return None
    centre, half = math.atanh(max(-0.999999, min(0.999999, r))), 1.959964 / math.sqrt(n - 3)
    return math.tanh(centre - half), math.tanh(centre + half)
