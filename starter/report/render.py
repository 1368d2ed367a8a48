"""Figures as files and as parts of the page, drawn anew only where what they show has changed.

figures/<slug>.png and .svg, and figures/index.json with what each was made of: drawing a report
again after an epoch costs as much as the curves that grew.
"""

import contextlib
import hashlib
import html
import logging
import os
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from starter.errors import UserError
from starter.files import read_json, write_json
from starter.report import style
from starter.runs.folder import RunFolder

log = logging.getLogger(__name__)

Drawn = tuple[Any, str]  # a matplotlib figure and its caption
INDEX = "index.json"
# What drawing raises for arrays of another kind or shape than a stage writes.
ODD = (ValueError, KeyError, IndexError, TypeError, AttributeError)


@dataclass(frozen=True)
class Figure:
    """A figure of the page: `draw` makes (figure, caption), or None where there is nothing."""

    slug: str
    section: str
    title: str
    sources: tuple[Path, ...]  # redrawn when one of them changes
    draw: Callable[[], Drawn | None]
    live: bool = False  # drawn while a stage is running
    caption: str = ""  # these two: once it is drawn
    svg: str = ""


def render(
    folder: Path, figures: Sequence[Figure], problems: list[str], *, live: bool = False
) -> list[Figure]:
    """Draws what has changed into <folder>/figures and reads the rest back.

    Args:
        problems: figures that cannot be drawn are added.
        live: a stage is running; what only a finished one changes is left for later.
    """
    place = RunFolder(folder).figures
    index, kept, shown = {}, {}, []
    with contextlib.suppress(UserError):
        index = read_json(place / INDEX)  # slug -> key and caption
    with style.settings():
        for figure in figures:
            key = _key(folder, figure)
            entry = index.get(figure.slug)
            svg = _read(place, figure.slug) if entry and entry["key"] == key else None
            if svg is None and (figure.live or not live):
                caption = _draw(figure, place, problems)
                entry = None if caption is None else {"key": key, "caption": caption}
                svg = None if caption is None else _read(place, figure.slug)
            if svg is None or entry is None:
                continue
            kept[figure.slug] = entry
            svg = style.inline(svg, figure.slug, html.escape(figure.title))
            shown.append(replace(figure, caption=entry["caption"], svg=svg))
    if not live:
        for slug in index.keys() - kept.keys():
            for kind in ("png", "svg"):
                (place / f"{slug}.{kind}").unlink(missing_ok=True)
    new = (index if live else {}) | kept
    if new != index:
        write_json(place / INDEX, new)
    return shown


def slug_of(name: str) -> str:
    """A name as a part of a file name and of an HTML id."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", name)[:40].strip("-")
    return name if plain == name else f"{plain}-{zlib.crc32(name.encode(errors='replace')):08x}"


def _draw(figure: Figure, place: Path, problems: list[str]) -> str | None:
    """Draws and saves; the caption, or None where there is nothing to draw, or it cannot be."""
    try:
        if (drawn := figure.draw()) is None:
            return None
        style.save(drawn[0], place, figure.slug)
        return drawn[1]
    except ODD as error:
        problems.append(f"{figure.title}: cannot be drawn from what was kept ({error})")
        log.debug("%s", figure.slug, exc_info=True)
        return None


def _key(folder: Path, figure: Figure) -> str:
    """Changes when a source does, or the code that draws."""
    digest = hashlib.sha256(f"{_code()}\0{figure.title}".encode(errors="replace"))
    for source in figure.sources:
        try:
            status = source.stat()
        except OSError:
            continue
        text = f"{os.path.relpath(source, folder)}\0{status.st_size}\0{status.st_mtime_ns}\0"
        digest.update(text.encode(errors="replace"))
    return digest.hexdigest()[:32]


@cache
def _code() -> str:
    """Digest of this room's source."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(place: Path, slug: str) -> str | None:
    """The SVG, where both files are there and whole."""
    try:
        svg = (place / f"{slug}.svg").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    whole = svg.rstrip().endswith("</svg>") and (place / f"{slug}.png").is_file()
    return svg if whole else None
