"""A run folder as it is: what can be read is read, what cannot is told.

Shapes: P pairs.
"""

import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from starter.errors import UserError

Arrays = dict[str, np.ndarray]
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)  # of a damaged npz


@dataclass
class Stage:
    """A stage's folder: its rows of metrics, its record, and what it kept to be shown."""

    name: str
    path: Path
    intervals: list[dict] = field(default_factory=list)
    epochs: list[dict] = field(default_factory=list)
    record: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    section: dict = field(default_factory=dict)  # of the recipe
    choices: dict = field(default_factory=dict)  # what it measured for itself

    @property
    def finished(self) -> bool:
        return bool(self.record.get("finished"))

    @property
    def wanted(self) -> int | None:
        """Epochs of the whole stage: the recipe's, or those it measured to fit its minutes."""
        found = self.section.get("epochs") or self.choices.get("epochs")
        return found if isinstance(found, int) else None

    @property
    def begun(self) -> bool:
        return bool(self.intervals or self.epochs)

    @property
    def last_step(self) -> int:
        return max((int(row["step"]) for row in (*self.intervals, *self.epochs)), default=0)

    def column(self, name: str, rows: list[dict] | None = None) -> tuple[list, list]:
        """(steps, values) of the rows (epochs by default) that have this number."""
        found = [
            (row["step"], row[name])
            for row in (self.epochs if rows is None else rows)
            if _is_number(row.get(name))
        ]
        return [step for step, _ in found], [value for _, value in found]

    def shown(self, name: str) -> Path:
        return self.path / "shown" / f"{name}.npz"


class Run:
    """A run folder, read once. `problems` tells what was damaged or missing."""

    def __init__(self, path: Path):
        self.path = path
        self.problems: list[str] = []
        self.recipe = self._recipe()
        self.name = str(self.recipe.get("name") or path.resolve().name)
        summary = self._json("summary.json")
        self.summaries = _mapping(summary.get("stages"))
        best = self._json("best.json").get("stage") or summary.get("best")
        self.best = best if isinstance(best, str) else None
        self.environment = self._json("environment.json")
        self.result = self._json("verify/result.json")
        self.calibration = self._json("verify/calibration.json")
        self.stages = [self._stage(name) for name in self._stage_names()]
        self._read: dict[Path, Arrays | None] = {}

    def arrays(self, path: Path) -> Arrays | None:
        """What a npz file holds; None where it is absent or damaged (told once)."""
        if path not in self._read:
            self._read[path] = self._load(path)
        return self._read[path]

    def stage(self, name: str | None) -> Stage | None:
        """A stage by its name."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def shown_stage(self) -> Stage | None:
        """The stage whose pictures are shown: the run's best, else the last that was begun."""
        best = self.stage(self.best)
        return best or next((stage for stage in reversed(self.stages) if stage.begun), None)

    @cached_property
    def recipe_text(self) -> str:
        try:
            return (self.path / "recipe.yaml").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _stage_names(self) -> list[str]:
        """In the order of the recipe, then any other folder that a stage wrote."""
        names = [str(name) for name in _mapping(self.recipe.get("stages"))]
        for place in sorted(self.path.iterdir()):
            written = any((place / name).is_file() for name in ("metrics.jsonl", "stage.json"))
            if written and place.name not in names:
                names.append(place.name)
        return names

    def _stage(self, name: str) -> Stage:
        stage = Stage(name, self.path / name)
        stage.record = self._json(f"{name}/stage.json")
        stage.choices = self._json(f"{name}/choices.json")
        stage.summary = _mapping(self.summaries.get(name))
        stage.section = _mapping(_mapping(self.recipe.get("stages")).get(name))
        damaged = 0
        for row in self._lines(stage.path / "metrics.jsonl"):
            if row is None:
                damaged += 1
            else:
                (stage.epochs if row.get("kind") == "epoch" else stage.intervals).append(row)
        if damaged:
            self.problems.append(f"{name}/metrics.jsonl: {damaged} lines cannot be read")
        return stage

    def _lines(self, path: Path) -> Iterator[dict | None]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            self.problems.append(f"{_short(path)}: {error.strerror}")
            return
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield row if isinstance(row, dict) and _is_number(row.get("step")) else None

    def _json(self, name: str) -> dict:
        path = self.path / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self.problems.append(f"{name} cannot be read: {error}")
            return {}
        if not isinstance(found, dict):
            self.problems.append(f"{name} is damaged: it holds no mapping")
            return {}
        return found

    def _recipe(self) -> dict:
        path = self.path / "recipe.yaml"
        if not path.is_file():
            self.problems.append("recipe.yaml is missing: what the run was asked for is not known")
            return {}
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            self.problems.append(f"recipe.yaml cannot be read: {' '.join(str(error).split())}")
            return {}
        if not isinstance(found, dict):
            self.problems.append("recipe.yaml is damaged: it holds no mapping")
            return {}
        return found

    def _load(self, path: Path) -> Arrays | None:
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except UNREADABLE as error:
            self.problems.append(f"{path.relative_to(self.path)} cannot be read: {error}")
            return None


def open_run(path: str | Path) -> Run:
    """Reads a run folder. UserError where there is no folder, or it holds run folders itself."""
    folder = Path(path)
    if not folder.is_dir():
        near = sorted(found.parent.as_posix() for found in folder.parent.glob("*/recipe.yaml"))
        hint = f"; run folders there: {', '.join(near)}" if near else ""
        raise UserError(f"{folder} is no folder{hint}")
    inside = sorted(found.parent.as_posix() for found in folder.glob("*/recipe.yaml"))
    if inside and not (folder / "recipe.yaml").is_file():
        raise UserError(f"{folder} is no run folder; run folders in it: {', '.join(inside)}")
    return Run(folder)


def _mapping(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(mapping: Any, *keys: str) -> float | None:
    """A finite number by its path of keys, None where there is none."""
    for key in keys:
        mapping = _mapping(mapping).get(key)
    return float(mapping) if _is_number(mapping) else None


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
