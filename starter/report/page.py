"""The page: one HTML file, made from a template by jinja2, which escapes what it is given."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from starter.files import write_text
from starter.report import style
from starter.report.render import Figure

PAGE = "report.html"


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
        light="".join(f"--{name}:{tone};" for tone, name in style.VARIABLES.items()),
        dark="".join(f"--{name}:{style.DARK[tone]};" for tone, name in style.VARIABLES.items()),
        **values,
    )
    path = folder / PAGE
    # A file's name may hold bytes that are no UTF-8.
    write_text(path, text.encode(errors="replace").decode())
    return path
