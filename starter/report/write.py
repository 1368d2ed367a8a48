"""A run folder -> report.html, and the figures beside it."""

import json
from pathlib import Path

from starter.report import page
from starter.report.figures import Measured, figures_of
from starter.report.read import Run, number, open_run
from starter.report.render import render, write_text
from starter.report.words import duration, summarise

REPORT = "report.html"


def report(run: str | Path, *, live: bool = False) -> Path:
    """Writes <run>/report.html and <run>/figures/, for whatever the run folder holds.

    Args:
        run: a run folder, finished or not.
        live: a stage is running: only what grows with it is drawn anew.
    Returns:
        The path of the page.
    Raises:
        UserError: there is no such folder.
        OSError: the page cannot be written.
    """
    return write(open_run(run), live=live)


def write(found: Run, *, live: bool = False, measured: Measured | None = None) -> Path:
    """As `report`, of a run that is read already."""
    measured = measured or Measured(found)
    shown = render(found.path, figures_of(found, measured), found.problems, live=live)
    words = summarise(found, None if live else measured.shown)
    environment = json.dumps(found.environment, indent=1) if found.environment else ""
    parts = [
        page.heading(found.name, _under(found)),
        page.summary(words),
        page.problems([*found.problems, *measured.reasons]),
        page.table(stage_rows(found)),
        page.figures(shown),
        "<h2>What it was made of</h2>",
        page.folded("Recipe", found.recipe_text),
        page.folded("Environment", environment),
        '<p class="soft">Every figure is also in figures/, as PNG and SVG.</p>' if shown else "",
    ]
    path = found.path / REPORT
    write_text(path, page.page(f"{found.name}: report", parts))
    return path


def _under(run: Run) -> str:
    known = {name: run.environment.get(name) for name in ("device", "commit", "python")}
    data = run.recipe.get("data")
    size = number(data, "image_size")
    model = run.recipe.get("model")
    backbone = model.get("backbone") if isinstance(model, dict) else None
    parts = [
        str(backbone) if backbone else "",
        f"{size:.0f} pixels" if size else "",
        f"on {known['device']}" if known["device"] else "",
        f"commit {str(known['commit'])[:10]}" if known["commit"] else "",
    ]
    return ", ".join(part for part in parts if part)


def stage_rows(run: Run) -> list[list[str]]:
    """The table of stages; a dash where nothing was measured."""
    rows = [["stage", "accuracy", "EER", "AUC", "epochs", "time", "images/s", "parameters"]]
    for stage in run.stages:
        if not stage.begun and not stage.summary:
            continue
        names = ("accuracy", "eer", "auc", "seconds", "images_per_second", "parameters")
        values = {name: number(stage.summary, name) for name in names}
        for name in ("accuracy", "eer", "auc", "images_per_second"):
            if values[name] is None:
                values[name] = next(reversed(stage.column(name)[1]), None)
        mark = " (best)" if stage.name == run.best else ""
        state = "" if stage.finished else " (not finished)"
        rows.append(
            [
                stage.name + mark + state,
                *(_percent(values[name]) for name in ("accuracy", "eer", "auc")),
                str(len(stage.epochs)),
                "-" if values["seconds"] is None else duration(values["seconds"]),
                _whole(values["images_per_second"]),
                _whole(values["parameters"]),
            ]
        )
    return rows


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
