"""What a study file says, and the runs that follow from it."""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from starter.errors import UserError
from starter.metrics.registry import find
from starter.recipe import load
from starter.recipe.problems import from_pydantic, unique
from starter.recipe.reader import read_file
from starter.recipe.schema import Recipe
from starter.recipe.schema.base import Misfit, Section
from starter.recipe.schema.data import AugmentStep
from starter.training.resolve import resolve

Changes = dict[str, Any]  # {"stages.classify.epochs": 3}, as on train.py's command line


class Study(Section):
    """A study file. Keys of changes are those of train.py's command line."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    recipe: Annotated[str, Field(description="its path, relative to the study's file")]
    metric: Annotated[str, Field(description="what the table is sorted by")]
    columns: Annotated[
        tuple[str, ...], Field(strict=False, description="shown too; rows.csv has them all")
    ] = ()
    stage: Annotated[str | None, Field(description="measured; else the recipe's last")] = None
    seeds: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (0, 1, 2)
    target: Annotated[
        float | None, Field(description="of the metric: when was it first reached?")
    ] = None
    baseline: Annotated[str | None, Field(description="the variant others are compared to")] = None
    common: Annotated[Changes, Field(default_factory=dict, description="of every run")]
    variants: Annotated[
        dict[str, Changes], Field(default_factory=dict, description="name: changes")
    ]
    grid: Annotated[
        dict[str, list[Any]],
        Field(default_factory=dict, description="key: values, every combination"),
    ]
    distorted: Annotated[
        tuple[AugmentStep, ...],
        Field(strict=False, description="dev images are measured once more, altered by these"),
    ] = ()
    reported: Annotated[
        dict[str, float],
        Field(default_factory=dict, description="what others report of a variant, a fraction"),
    ]

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        names = [cell.variant for cell in cells(self)]
        mistakes: list[tuple[tuple[str | int, ...], str]] = []
        try:
            find(self.metric)
        except UserError as error:
            mistakes.append((("metric",), str(error)))
        known = f"(there is {', '.join(names)})"
        if self.baseline is not None and self.baseline not in names:
            mistakes.append((("baseline",), f"no variant {self.baseline!r} {known}"))
        unknown = [name for name in self.reported if name not in names]
        mistakes += [(("reported", name), f"no variant {name!r} {known}") for name in unknown]
        if len(set(self.seeds)) != len(self.seeds):
            mistakes.append((("seeds",), f"one of them twice (got {list(self.seeds)})"))
        if mistakes:
            raise Misfit(mistakes)
        return self

    def measured_stage(self, recipe: Recipe) -> str:
        """The stage that the study measures."""
        return self.stage or list(recipe.stages)[-1]


@dataclass(frozen=True)
class Cell:
    """One variant at one point of the grid: its name in the table, its changes."""

    variant: str
    changes: Changes
    factors: dict[str, Any]  # the grid's keys and their values here


@dataclass(frozen=True)
class Run:
    """One cell with one seed, its recipe resolved."""

    cell: Cell
    seed: int
    recipe: Recipe

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(self.recipe.runs) / self.recipe.name


def cells(study: Study) -> list[Cell]:
    """Every variant at every point of the grid, in the order they are written."""
    every = itertools.product(*study.grid.values())
    points = [dict(zip(study.grid, values, strict=True)) for values in every]
    made = []
    for name, changes in (study.variants or {"": {}}).items():
        for point in points:
            words = [name, *(f"{_short(key, study.grid)}={value}" for key, value in point.items())]
            label = " ".join(filter(None, words)) or "recipe"
            made.append(Cell(label, study.common | changes | point, point))
    return made


def _short(key: str, keys: dict[str, Any]) -> str:
    """The last part of a key, where no other key of the grid ends alike."""
    last = key.rsplit(".", 1)[-1]
    return key if sum(other.rsplit(".", 1)[-1] == last for other in keys) > 1 else last


def read_study(path: Path) -> Study:
    """Reads a study file.

    Raises:
        UserError: every mistake, with file:line:column and a hint.
    """
    document = read_file(path)
    try:
        return Study.model_validate(document.value)
    except ValidationError as error:
        problems = unique(from_pydantic(error.errors(), document, Study))
        raise UserError("\n".join(map(str, problems))) from None


def plan(path: Path, study: Study, changes: Sequence[str], only: Sequence[str]) -> list[Run]:
    """Every run of the study, all recipes resolved before the first is trained.

    Args:
        path: the study's file. changes: overlays and key=value over every run.
        only: variants to run; none for all.
    Raises:
        UserError: a recipe that is wrong, or a variant that is not there.
    """
    known = cells(study)
    names = [cell.variant for cell in known]
    for name in only:
        if name not in names:
            raise UserError(f"{path.as_posix()}: no variant {name!r}; there is {', '.join(names)}")
    chosen = [cell for cell in known if not only or cell.variant in only]
    # A seed of every variant first: a study that is stopped has them all.
    return [_run(path, study, cell, seed, changes) for seed in study.seeds for cell in chosen]


def _run(path: Path, study: Study, cell: Cell, seed: int, changes: Sequence[str]) -> Run:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", cell.variant).strip("_.-")
    try:
        own = [f"{key}={json.dumps(value)}" for key, value in cell.changes.items()]
        changed = [*own, *changes, f"seed={seed}", f"name={name}_s{seed}"]
        recipe = resolve(load(path.parent / study.recipe, changed))
    except UserError as error:
        raise UserError(f"{path.as_posix()}: {cell.variant}: {error}") from None
    if study.stage is not None and study.stage not in recipe.stages:
        raise UserError(f"{path.as_posix()}: stage: {cell.variant} has no stage {study.stage!r}")
    place = Path(recipe.runs) / "studies" / study.name
    return Run(cell, seed, recipe.model_copy(update={"runs": place.as_posix()}))
