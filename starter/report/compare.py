"""Several runs side by side: their scores, their curves, and what differs in their recipes."""

from functools import partial
from pathlib import Path

import numpy as np

from starter.errors import UserError
from starter.recipe import differences
from starter.report import page, plots, style
from starter.report.curves import DRAWS, LEAST, Curve, measure
from starter.report.figures import Figure, Measured
from starter.report.read import Arrays, Run, Stage, number
from starter.report.render import render, write_text
from starter.report.words import duration, reached

RESAMPLES = 500
NOT_TOLD = {"name", "runs"}  # differ between any two runs


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
    usable = [curve for curve in curves if isinstance(curve, Curve)]
    shown = render(out, _figures(runs, names, usable), problems)
    parts = [
        page.heading("Comparison", ", ".join(names)),
        f"<section>{page.items(_paired(names, kept))}</section>",
        page.problems(problems),
        page.table(_rows(runs, names)),
        page.figures(shown),
        "<h2>What differs in their recipes</h2>",
        *(
            _differences(names[0], runs[0], name, run)
            for name, run in zip(names[1:], runs[1:], strict=True)
        ),
    ]
    path = out / "report.html"
    write_text(path, page.page("Comparison: report", parts))
    return path


def _names(runs: list[Run]) -> list[str]:
    """The runs' names; with their folders where two share one."""
    plain = [run.name for run in runs]
    return [
        name if plain.count(name) == 1 else f"{name} ({run.path.as_posix()})"
        for name, run in zip(plain, runs, strict=True)
    ]


def _paired(names: list[str], kept: list[Arrays | None]) -> list[str]:
    """Each run against the first, on the same pairs, as verification.compare measures it."""
    from starter.metrics import compare as paired

    lines, first = [], kept[0]
    for name, arrays in zip(names[1:], kept[1:], strict=True):
        if first is None or arrays is None:
            lines.append(f"{name} against {names[0]}: no labelled scores of both were kept.")
            continue
        same_P = first["same"]
        if not np.array_equal(same_P, arrays["same"]) or not np.array_equal(
            first.get("identity", 0), arrays.get("identity", 0)
        ):
            lines.append(
                f"{name} against {names[0]}: measured on other pairs, so their difference is "
                "not one of the networks alone."
            )
            continue
        resamples = int(np.clip(DRAWS // (2 * len(same_P)), LEAST, RESAMPLES))
        try:
            eer = paired(
                first["score"],
                arrays["score"],
                same_P,
                resamples=resamples,
                identity_P2=first.get("identity"),
            )["eer"]
        except UserError as error:
            lines.append(f"{name} against {names[0]}: {error}")
            continue
        low, high = 100 * eer["low"], 100 * eer["high"]
        word = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
        lines.append(
            f"{name} against {names[0]}, on the same pairs: EER {100 * eer['difference']:+.2f} "
            f"points (95 % interval {low:+.2f} to {high:+.2f}): {word}."
        )
    return lines


def _rows(runs: list[Run], names: list[str]) -> list[list[str]]:
    rows = [["run", "stage", "accuracy", "EER", "AUC", "time", "parameters"]]
    for name, run in zip(names, runs, strict=True):
        stage, values = reached(run)
        seconds = sum(number(one.summary, "seconds") or 0 for one in run.stages)
        parameters = None if stage is None else number(stage.summary, "parameters")
        rows.append(
            [
                name,
                "-" if stage is None else stage.name,
                *("-" if value is None else f"{100 * value:.2f} %" for value in values.values()),
                duration(seconds) if seconds else "-",
                "-" if parameters is None else f"{parameters:,.0f}",
            ]
        )
    return rows


def _figures(runs: list[Run], names: list[str], curves: list[Curve]) -> list[Figure]:
    found = []
    for slug, label in (("accuracy", "Dev accuracy"), ("eer", "EER")):
        if any(stage.column(slug)[0] for run in runs for stage in run.stages):
            draw = partial(_over_epochs, runs, names, slug, label)
            found.append(Figure(slug, "Training", label, _sources(runs), draw))
    if curves:
        section = "Are these two the same?"
        found += [
            Figure("roc", section, "ROC", _sources(runs), lambda: plots.roc(curves, curves[0])),
            Figure("det", section, "DET", _sources(runs), lambda: plots.det(curves, curves[0])),
        ]
    return found


def _sources(runs: list[Run]) -> tuple[Path, ...]:
    return tuple(
        path
        for run in runs
        for path in (
            run.path / "best.json",
            *Measured(run).sources,
            *(stage.path / "metrics.jsonl" for stage in run.stages),
        )
    )


def _over_epochs(runs: list[Run], names: list[str], column: str, label: str) -> plots.Drawn:
    """A line a run; its stages follow each other, a dot where one ends."""
    ax = style.new_axes()
    for i, (name, run) in enumerate(zip(names, runs, strict=True)):
        xs, ys, ends, start = [], [], [], 0
        for stage in run.stages:
            places = _epochs(stage, column)
            xs += [start + epoch for epoch, _ in places]
            ys += [100 * value for _, value in places]
            ends += [len(xs) - 1] if places else []
            start += len(stage.epochs)
        ax.plot(
            xs,
            ys,
            "o-",
            color=style.colour(i),
            label=plots.short(name, 30),
            markevery=ends,
            markersize=5,
        )
    ax.set_xlabel("epochs")
    ax.locator_params(axis="x", integer=True, nbins=6)
    ax.set_ylabel(f"{label} (%)")
    plots.legend(ax, len(runs))
    return ax.figure, "After each evaluated epoch; a dot ends a stage."


def _epochs(stage: Stage, column: str) -> list[tuple[float, float]]:
    rows = [(number(row, "epoch"), number(row, column)) for row in stage.epochs]
    return [(epoch, value) for epoch, value in rows if epoch is not None and value is not None]


def _differences(first_name: str, first: Run, name: str, run: Run) -> str:
    old, new = ({k: v for k, v in one.recipe.items() if k not in NOT_TOLD} for one in (first, run))
    lines = differences(old, new)
    told = page.items(lines) if lines else '<p class="soft">Nothing but the name.</p>'
    return f"<h3>{page.escape(first_name)} → {page.escape(name)}</h3>{told}"
