"""A study's folder as it is: study.json, rows.csv, and the curves of the runs it names.

Shapes: S seeds of a variant, E epochs.
"""

import csv
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from starter.errors import UserError
from starter.report.read import Run, number

STUDY, ROWS = "study.json", "rows.csv"
NOT_METRICS = ("variant", "seed", "run", "seconds", "epochs_to_target")


@dataclass
class Study:
    """Runs of the variants of one recipe. Metrics are fractions.

    rows.csv: variant, a column per varied key, then seed, and from there on run, seconds,
    epochs_to_target and the metrics, empty where absent.
    """

    path: Path
    name: str
    metric: str
    higher: bool
    target: float | None
    reported: dict[str, float]
    variants: list[str]
    keys: list[str]  # varied ones
    metrics: list[str]  # the study's own first
    rows: list[dict[str, str]]
    problems: list[str] = field(default_factory=list)

    def of(self, variant: str) -> list[dict[str, str]]:
        """The rows of a variant, one a seed."""
        return [row for row in self.rows if row["variant"] == variant]

    def values(self, rows: list[dict[str, str]], column: str) -> np.ndarray:
        """value_S float64: the finite numbers of a column."""
        found = (as_number(row.get(column)) for row in rows)
        return np.array([value for value in found if value is not None], float)

    def where(self, wanted: dict[str, float]) -> list[dict[str, str]]:
        """The rows in which every one of these keys has this value."""
        return [
            row
            for row in self.rows
            if all(as_number(row.get(key)) == value for key, value in wanted.items())
        ]

    def ranked(self, metric: str, higher: bool) -> list[str]:
        """Variants with a value, the best mean first."""
        mean = {name: self.values(self.of(name), metric) for name in self.variants}
        known = {name: value_S.mean() for name, value_S in mean.items() if len(value_S)}
        return sorted(known, key=lambda name: -known[name] if higher else known[name])

    @cached_property
    def numeric(self) -> dict[str, list[float]]:
        """Varied keys with at least two values, all of them numbers: key -> values.

        A cell is empty where a variant has no such key.
        """
        found = {}
        for key in self.keys:
            values = [as_number(row[key]) for row in self.rows if row.get(key)]
            known = [value for value in values if value is not None]
            if len(known) == len(values) and len(set(known)) > 1:
                found[key] = sorted(set(known))
        return found

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """variant -> its runs whose folders are there."""
        found: dict[str, list[Run]] = {name: [] for name in self.variants}
        for row in self.rows:
            given = row.get("run") or ""
            places = [Path(given), self.path / given, self.path / Path(given).name]
            place = next((place for place in places if given and place.is_dir()), None)
            if place is None:
                self.problems.append(f"{row['variant']}: its run {given or '(unnamed)'} is gone")
            else:
                found[row["variant"]].append(Run(place))
        return found

    def sources(self) -> tuple[Path, ...]:
        """Files that the figures are drawn from."""
        logs = (
            stage.path / "metrics.jsonl"
            for runs in self.runs.values()
            for run in runs
            for stage in run.stages
        )
        return (self.path / STUDY, self.path / ROWS, *logs)


def mean_error(value_S: np.ndarray) -> tuple[float, float | None]:
    """Mean and its standard error (deviation of the seeds / sqrt(S)); None for one seed."""
    error = value_S.std(ddof=1) / np.sqrt(len(value_S)) if len(value_S) > 1 else None
    return float(value_S.mean()), None if error is None else float(error)


def curve_of(run: Run, metric: str) -> tuple[list[float], list[float]]:
    """(epochs, values) of a run, its stages one after the other."""
    epochs, values, start = [], [], 0.0
    for stage in run.stages:
        end = start
        for row in stage.epochs:
            epoch, value = number(row, "epoch"), number(row, metric)
            end = start + epoch if epoch is not None else end
            if epoch is not None and value is not None:
                epochs.append(end)
                values.append(value)
        start = end
    return epochs, values


def open_study(folder: str | Path) -> Study:
    """Reads a study's folder.

    Raises:
        UserError: study.json or rows.csv is missing or damaged.
    """
    path = Path(folder)
    told = _json(path / STUDY)
    columns, rows = _table(path / ROWS)
    metric = told.get("metric")
    if not isinstance(metric, str):
        raise UserError(f"{path / STUDY}: names no metric; run the study again")
    split = columns.index("seed")
    metrics = [name for name in columns[split:] if name not in NOT_METRICS]
    named = told.get("variants")
    variants = [str(name) for name in named] if isinstance(named, list | dict) else []
    variants += [row["variant"] for row in rows]
    reported = told.get("reported")
    reported = reported if isinstance(reported, dict) else {}
    return Study(
        path,
        str(told.get("name") or path.resolve().name),
        metric,
        bool(told.get("higher_is_better", True)),
        number(told, "target"),
        {str(k): v for k in reported if (v := number(reported, k)) is not None},
        list(dict.fromkeys(variants)),
        [name for name in columns[:split] if name != "variant"],
        sorted(metrics, key=lambda name: name != metric),
        rows,
    )


def _json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path.parent} is no study's folder: it has no {STUDY}") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); run the study again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: damaged (no mapping); run the study again")
    return found


def _table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except FileNotFoundError:
        raise UserError(f"{path.parent} has no {ROWS}: no run of the study is finished") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the study again") from None
    if not {"variant", "seed"} <= set(columns):
        raise UserError(f"{path}: needs the columns variant and seed; it has {', '.join(columns)}")
    return columns, [row for row in rows if row["variant"]]


def as_number(text: str | None) -> float | None:
    """A finite number written in a cell, None for anything else."""
    try:
        value = float(text or "")
    except (ValueError, TypeError):
        return None
    return value if math.isfinite(value) else None
