"""Several runs side by side: their scores, their curves, and what differs in their recipes."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from starter.errors import UserError
from starter.metrics import compare as compare_scores
from starter.recipe import differences
from starter.report import pair_figures
from starter.report.drawing import Drawn, Figure, colour, new_axes, render, short
from starter.report.figures import PAIRS, Measured
from starter.report.page import write_page
from starter.report.pair_figures import DRAWS, LEAST, Curve, measure
from starter.report.read import Arrays, Run, number
from starter.report.words import CALLED, cell, duration, reached

RESAMPLES = 500


def compare(runs: list[Run], measured: list[Measured], out: Path) -> Path:
    """Writes <out>/report.html, the comparison, and its figures beside it."""
    out.mkdir(parents=True, exist_ok=True)
    names = _names(runs)
    kept = [one.kept.get(one.shown_name or "") for one in measured]
    curves = [
        measure(name, arrays["score"], arrays["same"], arrays.get("identity"), resamples=0)
        for name, arrays in zip(names, kept, strict=True)
        if arrays is not None
    ]
    problems = [f"{run.name}: {text}" for run in runs for text in run.problems]
    figures = _figures(runs, names, [curve for curve in curves if isinstance(curve, Curve)])
    first, *others = names
    recipes = [run.recipe | {"name": None, "runs": None} for run in runs]  # these always differ
    return write_page(
        out,
        "comparison.html",
        title="Comparison",
        subtitle=", ".join(names),
        facts=[
            f"{name} against {first}{_paired(kept[0], arrays)}"
            for name, arrays in zip(others, kept[1:], strict=True)
        ],
        rows=_rows(runs, names),
        figures=render(out, figures, problems),
        problems=problems,
        differences={
            f"{first} → {name}": differences(recipes[0], recipe)
            for name, recipe in zip(others, recipes[1:], strict=True)
        },
    )


def _names(runs: list[Run]) -> list[str]:
    """The runs' names; with their folders where two share one."""
    plain = [run.name for run in runs]
    return [r.name if plain.count(r.name) == 1 else f"{r.name} ({r.folder})" for r in runs]


def _paired(first: Arrays | None, other: Arrays | None) -> str:
    """How the other run differs from the first, measured on the same pairs."""
    if first is None or other is None:
        return ": no labelled scores of both were kept."
    same_P, identity_P2 = first["same"], first.get("identity")
    if not all(np.array_equal(first.get(k, 0), other.get(k, 0)) for k in ("same", "identity")):
        return ": measured on other pairs, so their difference is not one of the networks alone."
    count = int(np.clip(DRAWS // (2 * len(same_P)), LEAST, RESAMPLES))
    both = first["score"], other["score"]
    try:
        change = compare_scores(*both, same_P, resamples=count, identity_P2=identity_P2)
    except UserError as error:
        return f": {error}"
    eer = change["eer"]
    low, high = 100 * eer["low"], 100 * eer["high"]
    word = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
    return (
        f", on the same pairs: EER {100 * eer['difference']:+.2f} points "
        f"(95 % interval {low:+.2f} to {high:+.2f}): {word}."
    )


def _rows(runs: list[Run], names: list[str]) -> list[list[str]]:
    rows = [["run", "stage", *CALLED.values(), "time", "parameters"]]
    for name, run in zip(names, runs, strict=True):
        stage, values = reached(run)
        parameters = cell(number(stage.summary, "parameters") if stage else None, "{:,.0f}")
        metrics = (cell(value, "{:.2%}") for value in values.values())
        called = stage.name if stage else "-"
        rows.append([name, called, *metrics, duration(run.seconds), parameters])
    return rows


def _figures(runs: list[Run], names: list[str], curves: list[Curve]) -> list[Figure]:
    figures = []
    sources = tuple(path for run in runs for path in Measured(run).sources)
    sources += tuple(stage.folder.metrics for run in runs for stage in run.stages)
    for slug, label in (("accuracy", "Dev accuracy"), ("eer", "EER")):
        if any(stage.column(slug)[0] for run in runs for stage in run.stages):
            draw = partial(_over_epochs, runs, names, slug, label)
            figures.append(Figure(slug, "Training", label, sources, draw))
    for slug, plot in (("roc", pair_figures.roc), ("det", pair_figures.det)) if curves else ():
        draw = partial(plot, curves, curves[0])
        figures.append(Figure(slug, PAIRS, slug.upper(), sources, draw))
    return figures


def _over_epochs(runs: list[Run], names: list[str], column: str, label: str) -> Drawn:
    """A line a run; its stages follow each other, a dot where one ends."""
    ax = new_axes()
    for i, (name, run) in enumerate(zip(names, runs, strict=True)):
        epochs, values, ends = run.over_epochs(column)
        line: dict[str, Any] = {"label": short(name, 30), "markevery": ends, "markersize": 5}
        ax.plot(epochs, 100 * np.array(values), "o-", color=colour(i), **line)
    ax.set(xlabel="epochs", ylabel=f"{label} (%)")
    ax.locator_params(axis="x", integer=True, nbins=6)
    ax.legend()
    return ax.figure, "After each evaluated epoch; a dot ends a stage."
