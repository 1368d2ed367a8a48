"""Which figures a run has, and what each is drawn from."""

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

from starter.report import image_figures, pair_figures, training_figures
from starter.report.drawing import Drawn, Figure, slug_of
from starter.report.pair_figures import Curve, measure
from starter.report.read import Arrays, Run, Stage

PAIRS = "Are these two the same?"
CLASSES = "Who is this?"
EMBEDDING = "The embedding"
# Metrics with a figure of their own; a monitor that is none of the kit's gets one too.
KNOWN = {
    "accuracy": ("Accuracy", "dev accuracy", 100),
    "eer": ("Equal error rate", "EER of validation pairs", 100),
}
WITHOUT_FIGURE = {"combined", "auc", "precision", "recall", "loss"}


class Measured:
    """The curves of a run: each finished stage's, and verify's in place of its own stage's."""

    def __init__(self, run: Run):
        self.run = run
        self.verify_file = run.folder.shown_scores("val")
        self.reasons: list[str] = []  # why a set of scores has no curve

    @cached_property
    def verified(self) -> str | None:
        """The stage that verify scored with, where its scores are there to be shown."""
        name = self.run.result.get("stage")
        return name if isinstance(name, str) and self.run.arrays(self.verify_file) else None

    @property
    def sources(self) -> tuple[Path, ...]:
        stages = (stage.folder.shown_file("scores") for stage in self.run.stages)
        return (self.verify_file, *stages, self.run.folder.best, self.run.folder.result)

    @cached_property
    def kept(self) -> dict[str, Arrays]:
        """Scores with labels by the name that a curve has."""
        kept = {}
        for stage in self.run.stages:
            path, name = stage.folder.shown_file("scores"), stage.name
            if stage.name == self.verified:
                path, name = self.verify_file, f"{name} (verify)"
            arrays = self.run.arrays(path)
            if {"score", "same"} <= set(arrays):
                kept[name] = arrays
        return kept

    @cached_property
    def shown_name(self) -> str | None:
        """The one with a band: verify's, else the run's best, else the last."""
        preferred = (f"{self.verified} (verify)", self.run.best, *reversed(self.kept))
        return next((name for name in preferred if name in self.kept), None)

    @cached_property
    def curves(self) -> list[Curve]:
        curves = []
        for name, arrays in self.kept.items():
            resamples = None if name == self.shown_name else 0
            identity_P2 = arrays.get("identity")
            curve = measure(name, arrays["score"], arrays["same"], identity_P2, resamples=resamples)
            if isinstance(curve, str):
                self.reasons.append(f"{name}: {curve}")
            else:
                curves.append(curve)
        return curves

    @property
    def shown(self) -> Curve | None:
        return next((curve for curve in self.curves if curve.name == self.shown_name), None)

    def draw(self, plot: Callable[[list[Curve], Curve], Drawn]) -> Drawn | None:
        """The plot of the curves, where the shown one could be measured."""
        return None if self.shown is None else plot(self.curves, self.shown)


def figures_of(run: Run, measured: Measured) -> list[Figure]:
    """Every figure that this run may have, in the order of the page."""
    begun = [stage for stage in run.stages if stage.begun]
    figures = _training(begun) if begun else []
    plots = {"ROC": pair_figures.roc, "DET": pair_figures.det, "Scores": pair_figures.scores}
    for title, plot in plots.items():
        draw = partial(measured.draw, plot)
        figures.append(Figure(title.lower(), PAIRS, title, measured.sources, draw))
    source = (run.folder.calibration,)
    draw = partial(pair_figures.calibration, run.calibration)
    figures.append(Figure("calibration", PAIRS, "Calibration", source, draw))
    if run.shown_stage is not None:
        figures += _pictures(run, run.shown_stage, measured)
    for stage in begun:
        slug, title = f"augmented-{slug_of(stage.name)}", f"Augmented: {stage.name}"
        section, file = "Images as the network saw them", stage.folder.shown_file("augmented")
        draw = _drawing(run, file, image_figures.augmented)
        figures.append(Figure(slug, section, title, (file,), draw))
    return figures


def _training(begun: list[Stage]) -> list[Figure]:
    """Curves over updates."""
    logs = tuple(stage.folder.metrics for stage in begun)

    def figure(slug: str, title: str, draw: Callable, *arguments) -> Figure:
        return Figure(slug, "Training", title, logs, partial(draw, begun, *arguments), live=True)

    figures = [figure("loss", "Loss", training_figures.losses)]
    monitors = {stage.monitor for stage in begun} - set(KNOWN) - WITHOUT_FIGURE
    draw = training_figures.over_updates
    for name, (title, label, factor) in (KNOWN | {n: (n, n, 1) for n in sorted(monitors)}).items():
        if any(stage.column(name)[0] for stage in begun):
            figures.append(figure(slug_of(name), title, draw, name, label, factor))
    figures.append(figure("learning_rate", "Learning rate", training_figures.learning_rate))
    figures.append(figure("throughput", "Speed", training_figures.throughput))
    return figures


def _pictures(run: Run, stage: Stage, measured: Measured) -> list[Figure]:
    """Images, classes and angles that the shown stage kept, and angles over every stage."""

    def figure(slug, section, title, kept, draw, more=()) -> Figure:
        file = stage.folder.shown_file(kept)
        return Figure(slug, section, title, (file, *more), _drawing(run, file, draw))

    def hardest(kind: str) -> Figure:
        def draw(kept: Arrays) -> Drawn | None:
            curve = measured.shown
            known = curve is not None and curve.name == stage.name
            threshold = curve.metrics["thresholds"]["eer"] if curve and known else None
            return image_figures.pairs(kept, kind, threshold)

        title = f"Hardest {kind} pairs"
        return figure(f"hardest-{kind}", PAIRS, title, "pairs", draw, measured.sources)

    confused = f"Most confused classes: {stage.name}"
    at_end = f"Angles at the end: {stage.name}"
    return [
        hardest("genuine"),
        hardest("impostor"),
        figure("confusion", CLASSES, confused, "classes", image_figures.confusion),
        figure("worst", CLASSES, "Highest loss", "images", image_figures.worst_images),
        figure("map", EMBEDDING, "Map of a few classes", "map", image_figures.embedding_map),
        *_angles_over_updates(run),
        figure("angles", EMBEDDING, at_end, "angles", image_figures.class_angles),
    ]


def _angles_over_updates(run: Run) -> list[Figure]:
    figures = []
    for stage in run.stages:
        paths = stage.folder.shown.glob("angles-*.npz")
        steps = {path: path.stem.removeprefix("angles-") for path in sorted(paths)}
        files = {int(step): path for path, step in steps.items() if step.isdecimal()}
        if files:
            slug = f"angles-{slug_of(stage.name)}"
            title, draw = f"Angles to the own class: {stage.name}", partial(_angles, run, files)
            figures.append(Figure(slug, EMBEDDING, title, (*files.values(),), draw, live=True))
    return figures


def _angles(run: Run, files: dict[int, Path]) -> Drawn | None:
    kept = {step: run.arrays(path).get("own") for step, path in files.items()}
    return image_figures.target_angles({n: own for n, own in kept.items() if own is not None})


def _drawing(run: Run, path: Path, draw: Callable[[Arrays], Drawn | None]):
    """Draws what a file keeps; nothing where it is absent or damaged."""

    def drawing() -> Drawn | None:
        arrays = run.arrays(path)
        return draw(arrays) if arrays else None

    return drawing
