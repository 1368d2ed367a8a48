"""A study's folder -> its page, and every figure beside it."""

import zlib
from functools import partial
from itertools import combinations
from pathlib import Path

from starter.report import page
from starter.report import study_figures as drawings
from starter.report.figures import Figure
from starter.report.plots import short
from starter.report.render import render, write_text
from starter.report.study_read import ROWS, STUDY, Study, open_study
from starter.report.study_words import called, sentences, table_rows, under

MOST = 40  # variants with a curve of their own
GRIDS = 3  # pairs of numeric keys


def draw_study(folder: str | Path) -> list[Path]:
    """Writes <folder>/report.html and <folder>/figures/ of a study.

    Args:
        folder: holds study.json and rows.csv, as study_read.Study describes them.
    Returns:
        The page, then every figure's PNG and SVG.
    Raises:
        UserError: study.json or rows.csv is missing or damaged.
        OSError: the page cannot be written.
    """
    study = open_study(folder)
    shown = render(study.path, figures_of(study), study.problems)
    title = f"Study: {study.name}"
    parts = [
        page.heading(title, under(study)),
        f"<section>{page.items(sentences(study))}</section>",
        page.problems(study.problems),
        page.table(table_rows(study)),
        page.figures(shown),
        '<p class="soft">Every figure is also in figures/, as PNG and SVG.</p>' if shown else "",
    ]
    path = study.path / "report.html"
    write_text(path, page.page(title, parts))
    place = study.path / "figures"
    return [path, *(place / f"{one.slug}.{kind}" for one in shown for kind in ("png", "svg"))]


def figures_of(study: Study) -> list[Figure]:
    """Every figure that this study may have, in the order of the page."""
    table, found = (study.path / ROWS, study.path / STUDY), []
    measured = [*study.metrics, "epochs_to_target", "seconds"]
    for column in measured:
        found.append(
            Figure(
                f"rank-{_slug(column)}",
                "Which is best?",
                called(column),
                table,
                partial(drawings.ranking, study, column),
            )
        )
    section = f"{called(study.metric)} over the varied keys"
    for key in study.numeric if len(study.numeric) == 1 else ():
        found.append(
            Figure(
                f"over-{_slug(key)}",
                section,
                short(key, 50),
                table,
                partial(drawings.over_key, study, key),
            )
        )
    for left, right in list(combinations(study.numeric, 2))[:GRIDS]:
        title = f"{short(left, 40)} x {short(right, 40)}"
        found.append(
            Figure(
                f"grid-{_slug(left + '.' + right)}",
                section,
                title,
                table,
                partial(drawings.grid, study, left, right),
            )
        )
    logs = study.sources()
    found.append(
        Figure(
            "curves",
            "How they learned",
            "The best, over each other",
            logs,
            partial(drawings.best_curves, study),
        )
    )
    for name in study.variants[:MOST]:
        found.append(
            Figure(
                f"curve-{_slug(name)}",
                "How they learned",
                short(name, 60),
                logs,
                partial(drawings.curve, study, name),
            )
        )
    return found


def _slug(name: str) -> str:
    """A name as a part of a file name and of an HTML id."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:40].strip("-")
    return f"{plain}-{zlib.crc32(name.encode(errors='replace')):08x}" if plain != name else name
