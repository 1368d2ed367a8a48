"""A tolerant reader of a run folder: what cannot be read is a problem to be told, never an error.

Shapes: P pairs.
"""

import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from starter.errors import UserError
from starter.files import read_json
from starter.runs.folder import RunFolder, StageFolder, run_folders_in

Arrays = dict[str, np.ndarray]
# What reading a damaged npz, YAML or JSON file raises.
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, yaml.YAMLError, UserError)
NOT_LOSSES = ("kind", "step", "lr", "loss")  # columns of an interval


@dataclass
class Stage:
    """A stage's folder: its rows of metrics, its record, and what it kept to be shown."""

    folder: StageFolder
    section: dict  # of the recipe
    summary: dict  # of summary.json
    record: dict
    choices: dict  # what it measured for itself
    intervals: list[dict] = field(default_factory=list)
    epochs: list[dict] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        return bool(self.record.get("finished"))

    @property
    def monitor(self) -> str:
        return str(self.section.get("monitor", "combined"))

    @property
    def planned_epochs(self) -> int | None:
        """Epochs of the whole stage: the recipe's, or those it measured to fit its minutes."""
        epochs = self.section.get("epochs") or self.choices.get("epochs")
        return epochs if isinstance(epochs, int) else None

    @property
    def begun(self) -> bool:
        return bool(self.intervals or self.epochs)

    @property
    def last_step(self) -> int:
        return max((int(row["step"]) for row in (*self.intervals, *self.epochs)), default=0)

    @property
    def terms(self) -> list[str]:
        """The loss terms by their names, where there are several."""
        names = [name for name in (self.intervals or [{}])[0] if name not in NOT_LOSSES]
        return names if len(names) > 1 else []

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """(steps, values) of the rows that have this number: of the intervals, else the epochs."""
        for rows in (self.intervals, self.epochs):
            if kept := [row for row in rows if is_number(row.get(name))]:
                return [row["step"] for row in kept], [row[name] for row in kept]
        return [], []

    def last(self, name: str) -> float | None:
        """The metric of the stage's best checkpoint, else the last measured."""
        known = (number(self.summary, name), number(self.record, "metrics", name))
        measured = (*self.column(name)[1][-1:],)
        return next((value for value in (*known, *measured) if value is not None), None)


class Run:
    """A run folder, read once. `problems` tells what was damaged or missing."""

    def __init__(self, path: Path):
        self.folder, self.path = RunFolder(path), path
        self.problems: list[str] = []
        recipe = self.folder.recipe
        self.recipe = self._read(recipe, _load_yaml)
        if not recipe.is_file():
            self.problems.append(f"{recipe.name} is missing: what was to be trained is not known")
        self.name = str(self.recipe.get("name") or path.resolve().name)
        summary = self._read(self.folder.summary, read_json)
        best = self._read(self.folder.best, read_json).get("stage") or summary.get("best")
        self.best = best if isinstance(best, str) else None
        self.environment = self._read(self.folder.environment, read_json)
        self.result = self._read(self.folder.result, read_json)
        self.calibration = self._read(self.folder.calibration, read_json)
        self.stages = self._stages(mapping(summary.get("stages")))
        self._arrays: dict[Path, Arrays] = {}

    def arrays(self, path: Path) -> Arrays:
        """What a npz file holds; empty where it is absent or damaged (told once)."""
        if path not in self._arrays:
            self._arrays[path] = self._read(path, _load_arrays)
        return self._arrays[path]

    @property
    def seconds(self) -> float:
        """Of training, evaluation not counted."""
        return sum(number(stage.summary, "seconds") or 0 for stage in self.stages)

    def over_epochs(self, column: str) -> tuple[list[float], list[float], list[int]]:
        """(epochs, values) of a column, its stages one after the other; places that end a stage."""
        points: list[tuple[float, float]] = []
        ends, start = [], 0.0
        for stage in self.stages:
            rows = [(number(row, "epoch"), number(row, column)) for row in stage.epochs]
            known = [(start + epoch, value) for epoch, value in rows if epoch is not None]
            points += [(epoch, value) for epoch, value in known if value is not None]
            ends += [len(points) - 1] if points else []
            start = known[-1][0] if known else start
        return [epoch for epoch, _ in points], [value for _, value in points], ends

    @property
    def shown_stage(self) -> Stage | None:
        """The stage whose pictures are shown: the run's best, else the last that was begun."""
        best = [stage for stage in self.stages if stage.name == self.best]
        last = [stage for stage in self.stages if stage.begun][-1:]
        return next(iter(best + last), None)

    def _stages(self, summaries: dict) -> list[Stage]:
        """In the order of the recipe, then any other folder that a stage wrote."""
        sections = mapping(self.recipe.get("stages"))
        folders = [self.folder.stage(str(name)) for name in sections]
        for place in map(StageFolder, sorted(self.path.iterdir())):
            written = place.metrics.is_file() or place.record.is_file()
            folders += [place] if written and place not in folders else []
        kept = [[mapping(of.get(place.name)) for of in (sections, summaries)] for place in folders]
        return [self._stage(place, *of) for place, of in zip(folders, kept, strict=True)]

    def _stage(self, folder: StageFolder, section: dict, summary: dict) -> Stage:
        record, choices = (self._read(path, read_json) for path in (folder.record, folder.choices))
        stage = Stage(folder, section, summary, record, choices)
        text = ""
        if folder.metrics.is_file():
            text = folder.metrics.read_text(encoding="utf-8", errors="replace")
        rows = [_row(line) for line in text.splitlines()]
        if damaged := rows.count(None):
            place = f"{folder.name}/{folder.metrics.name}"
            self.problems.append(f"{place}: {damaged} lines cannot be read")
        for row in filter(None, rows):
            (stage.epochs if row.get("kind") == "epoch" else stage.intervals).append(row)
        return stage

    def _read(self, path: Path, load: Callable[[Path], dict]) -> dict:
        """What `load` makes of a file; empty where it is absent or damaged."""
        if not path.is_file():
            return {}
        try:
            return load(path)
        except UNREADABLE as error:
            name, why = path.relative_to(self.path), " ".join(str(error).split())
            self.problems.append(f"{name} cannot be read: {why}")
            return {}


def open_run(path: str | Path) -> Run:
    """Reads a run folder. UserError where there is no folder, or it holds run folders itself."""
    folder = Path(path)
    if not folder.is_dir():
        RunFolder.existing(folder)  # raises, and names the run folders that are near
    inside = ", ".join(map(str, run_folders_in(folder)))
    if inside and not RunFolder(folder).recipe.is_file():
        raise UserError(f"{folder} is no run folder; run folders in it: {inside}")
    return Run(folder)


def _row(line: str) -> dict | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and is_number(row.get("step")) else None


def _load_arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _load_yaml(path: Path) -> dict:
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("it holds no mapping")
    return value


def mapping(value: Any) -> dict:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def is_number(value: Any) -> bool:
    """Whether a value read from a file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, *keys: str) -> float | None:
    """A finite number by its path of keys, None where there is none."""
    for key in keys:
        value = mapping(value).get(key)
    return float(value) if is_number(value) else None
