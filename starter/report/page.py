"""A run folder -> report.html and the figures beside it.

The page is one HTML file, made from a template by jinja2, which escapes what it is given.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from starter.files import write_text
from starter.report import drawing
from starter.report.drawing import Figure, render
from starter.report.figures import Measured, figures_of
from starter.report.read import Run, mapping, open_run
from starter.report.words import stage_rows, summarise
from starter.runs.folder import RunFolder


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
    size = mapping(run.recipe.get("data")).get("image_size")
    pixels = " x ".join(map(str, size if isinstance(size, list) else [size or ""]))
    device, commit = (run.environment.get(name) for name in ("device", "commit"))
    parts = [str(backbone or ""), f"{pixels} pixels" if pixels else ""]
    parts += [f"on {device}" if device else "", f"commit {str(commit)[:10]}" if commit else ""]
    return ", ".join(filter(None, parts))


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    made.trim_blocks = made.lstrip_blocks = True
    return made


def write_page(
    folder: Path,
    template: str,
    *,
    title: str,
    subtitle: str,
    rows: Sequence[Sequence[str]],
    figures: Sequence[Figure],
    problems: Iterable[str],
    **values: object,
) -> Path:
    """Writes <folder>/report.html and returns its path.

    Args:
        template: of templates/, for `values`.
        rows: of the table, its head first.
        figures: those of a section lie together.
        problems: what could not be read or drawn.
    """
    page = _templates().get_template(template)
    text = page.render(
        title=title,
        subtitle=subtitle,
        rows=rows,
        figures={name: list(part) for name, part in groupby(figures, attrgetter("section"))},
        problems=list(dict.fromkeys(problems)),
        light="".join(f"--{name}:{tone};" for tone, name in drawing.VARIABLES.items()),
        dark="".join(f"--{name}:{drawing.DARK[tone]};" for tone, name in drawing.VARIABLES.items()),
        **values,
    )
    path = RunFolder(folder).report
    # A file's name may hold bytes that are no UTF-8.
    write_text(path, text.encode(errors="replace").decode())
    return path
