"""Which figures a run has, and what each is drawn from."""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starter.report import pictures, plots
from starter.report.curves import Curve, measure
from starter.report.read import Arrays, Run, Stage
from starter.report.reliability import reliability


@dataclass(frozen=True)
class Figure:
    """A figure of the page: `draw` makes (figure, caption), or None where there is nothing."""

    slug: str
    section: str
    title: str
    sources: tuple[Path, ...]  # redrawn when one of them changes
    draw: Callable[[], plots.Drawn | None]
    live: bool = False  # drawn while a stage is running


class Measured:
    """The curves of a run: each finished stage's, and verify's in place of its own stage's."""

    def __init__(self, run: Run):
        self.run = run
        self.reasons: list[str] = []

    @cached_property
    def verified(self) -> str | None:
        """The stage that verify scored with, where its scores are there to be shown."""
        name = self.run.result.get("stage")
        return name if isinstance(name, str) and self.run.arrays(self.verify_file) else None

    @property
    def verify_file(self) -> Path:
        return self.run.path / "verify" / "shown" / "val.npz"

    @property
    def sources(self) -> tuple[Path, ...]:
        places = [stage.shown("scores") for stage in self.run.stages]
        names = ("best.json", "verify/result.json")
        return (self.verify_file, *places, *(self.run.path / name for name in names))

    @cached_property
    def kept(self) -> dict[str, Arrays]:
        """Scores with labels by the name that a curve has."""
        found = {}
        for stage in self.run.stages:
            path, name = stage.shown("scores"), stage.name
            if stage.name == self.verified:
                path, name = self.verify_file, f"{name} (verify)"
            arrays = self.run.arrays(path)
            if arrays is not None and {"score", "same"} <= set(arrays):
                found[name] = arrays
        return found

    @cached_property
    def shown_name(self) -> str | None:
        """The one with a band: verify's, else the run's best, else the last."""
        names = list(self.kept)
        wanted = [name for name in names if name.endswith(" (verify)")]
        wanted += [name for name in names if name == self.run.best]
        return next(iter(wanted or names[-1:]), None)

    @cached_property
    def curves(self) -> list[Curve]:
        curves = []
        for name, arrays in self.kept.items():
            found = measure(
                name,
                arrays["score"],
                arrays["same"],
                arrays.get("identity"),
                resamples=None if name == self.shown_name else 0,
            )
            if isinstance(found, str):
                self.reasons.append(f"{name}: {found}")
            else:
                curves.append(found)
        return curves

    @property
    def shown(self) -> Curve | None:
        return next((curve for curve in self.curves if curve.name == self.shown_name), None)


def figures_of(run: Run, measured: Measured) -> list[Figure]:
    """Every figure that this run may have, in the order of the page."""
    begun = [stage for stage in run.stages if stage.begun]
    logs = tuple(stage.path / "metrics.jsonl" for stage in run.stages)
    found = []

    def add(slug, section, title, sources, draw, *, live=False):
        found.append(Figure(slug, section, title, tuple(sources), draw, live))

    def curve(slug, title, columns, label, percent=True):
        there = {
            name: called
            for name, called in columns.items()
            if any(stage.column(name)[0] for stage in begun)
        }
        if there:
            add(
                slug,
                "Training",
                title,
                logs,
                lambda: plots.training(begun, there, label, percent=percent),
                live=True,
            )

    if begun:
        add("loss", "Training", "Loss", logs, lambda: plots.losses(begun), live=True)
        curve("accuracy", "Accuracy", {"accuracy": "dev accuracy"}, "dev accuracy (%)")
        curve("eer", "Equal error rate", {"eer": "EER of validation pairs"}, "EER (%)")
        add(
            "learning_rate",
            "Training",
            "Learning rate",
            logs,
            lambda: plots.learning_rate(begun),
            live=True,
        )
        add("throughput", "Training", "Speed", logs, lambda: plots.throughput(begun), live=True)
    _add_verification(add, measured)
    stage = run.shown_stage
    if stage is not None:
        _add_stage(add, run, stage, measured)
    for stage in begun:
        path = stage.shown("augmented")
        add(
            f"augmented-{_slug(stage.name)}",
            "Images as the network saw them",
            f"Augmented: {stage.name}",
            [path],
            _with(run, path, pictures.augmented),
        )
    return found


def _add_verification(add, measured: Measured) -> None:
    def with_curves(draw):
        shown = measured.shown
        return None if shown is None else draw(shown)

    def histogram(shown: Curve):
        arrays = measured.kept[shown.name]
        return plots.scores(arrays["score"], arrays["same"].astype(bool), shown)

    section, sources = "Are these two the same?", measured.sources
    add(
        "roc",
        section,
        "ROC",
        sources,
        lambda: with_curves(lambda shown: plots.roc(measured.curves, shown)),
    )
    add(
        "det",
        section,
        "DET",
        sources,
        lambda: with_curves(lambda shown: plots.det(measured.curves, shown)),
    )
    add("scores", section, "Scores", sources, lambda: with_curves(histogram))
    run = measured.run
    add(
        "calibration",
        section,
        "Calibration",
        [run.path / "verify" / "calibration.json"],
        lambda: reliability(run.calibration),
    )


def _add_stage(add, run: Run, stage: Stage, measured: Measured) -> None:
    def confusion(kept: Arrays):
        return (
            pictures.confusion(kept["classes"], kept["dev_label"], kept["dev_predicted"])
            if ("dev_label" in kept and len(kept["dev_label"]))
            else None
        )

    def hardest(kind):
        def draw(kept: Arrays):
            shown = measured.shown
            usable = shown is not None and shown.name == stage.name
            threshold = shown.found["thresholds"]["eer"] if shown and usable else None
            return pictures.pairs(kept, kind, threshold)

        return draw

    path = stage.shown("classes")
    add(
        "confusion",
        "Who is this?",
        f"Most confused classes: {stage.name}",
        [path],
        _with(run, path, confusion),
    )
    path = stage.shown("images")
    add("worst", "Who is this?", "Highest loss", [path], _with(run, path, pictures.worst_images))
    path = stage.shown("pairs")
    for kind in ("genuine", "impostor"):
        add(
            f"hardest-{kind}",
            "Are these two the same?",
            f"Hardest {kind} pairs",
            [path, *measured.sources],
            _with(run, path, hardest(kind)),
        )
    path = stage.shown("map")
    add(
        "map",
        "The embedding",
        "Map of a few classes",
        [path],
        _with(run, path, pictures.embedding_map),
    )
    for other in run.stages:
        steps = {
            int(path.stem.removeprefix("angles-")): path
            for path in sorted((other.path / "shown").glob("angles-*.npz"))
            if path.stem.removeprefix("angles-").isdecimal()
        }
        if steps:
            add(
                f"angles-{_slug(other.name)}",
                "The embedding",
                f"Angles to the own class: {other.name}",
                steps.values(),
                lambda steps=steps: _target_angles(run, steps),
                live=True,
            )
    path = stage.shown("angles")
    add(
        "angles",
        "The embedding",
        f"Angles at the end: {stage.name}",
        [path],
        _with(run, path, pictures.class_angles),
    )


def _target_angles(run: Run, steps: dict[int, Path]) -> plots.Drawn | None:
    read = {step: run.arrays(path) for step, path in steps.items()}
    return pictures.target_angles(
        {step: arrays["own"] for step, arrays in read.items() if arrays and "own" in arrays}
    )


def _with(run: Run, path: Path, draw):
    def drawn():
        arrays = run.arrays(path)
        return None if arrays is None else draw(arrays)

    return drawn


def _slug(name: str) -> str:
    """A stage's name as a part of a file name and of an HTML id."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")
    if plain == name:
        return name
    return f"{plain}-{zlib.crc32(name.encode(errors='replace')):08x}"
