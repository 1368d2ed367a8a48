"""A run folder -> report.html, and the figures beside it."""

import json
from pathlib import Path

from starter.report.figures import Measured, figures_of
from starter.report.page import write_page
from starter.report.read import Run, mapping, number, open_run
from starter.report.render import render
from starter.report.words import stage_rows, summarise


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
    opened = open_run(run)
    return write(opened, Measured(opened), live=live)


def write(run: Run, measured: Measured, *, live: bool = False) -> Path:
    """As `report`, of a run that is read already."""
    figures = render(run.path, figures_of(run, measured), run.problems, live=live)
    recipe = run.folder.recipe
    return write_page(
        run.path,
        "run.html",
        title=run.name,
        subtitle=_subtitle(run),
        words=summarise(run, None if live else measured.shown),
        rows=stage_rows(run),
        figures=figures,
        problems=[*run.problems, *measured.reasons],
        recipe=recipe.read_text("utf-8", "replace") if recipe.is_file() else "",
        environment=json.dumps(run.environment, indent=1) if run.environment else "",
    )


def _subtitle(run: Run) -> str:
    backbone = mapping(run.recipe.get("model")).get("backbone")
    size = number(run.recipe, "data", "image_size")
    device, commit = (run.environment.get(name) for name in ("device", "commit"))
    parts = [str(backbone or ""), f"{size:.0f} pixels" if size else ""]
    parts += [f"on {device}" if device else "", f"commit {str(commit)[:10]}" if commit else ""]
    return ", ".join(filter(None, parts))
