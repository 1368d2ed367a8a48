"""How figures look, and how they become files and parts of the page.

Every colour is one of a few fixed ones; in the page each becomes a CSS variable, so that the same
drawing is readable on white and on black. Beside figures/<slug>.png and .svg, figures/index.json
says what each was made of: only what has changed is drawn anew, so that a report after one more
epoch costs as much as the curves that grew.
"""

import contextlib
import hashlib
import html
import io
import logging
import os
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starter.errors import UserError
from starter.files import read_json, replacing, write_json
from starter.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Plot

log = logging.getLogger(__name__)

INK, SOFT, GRID, PAPER = "#1f2329", "#5f6773", "#d9dde3", "#fefefe"
SERIES = (
    *("#2462a9", "#c2500d", "#187a43", "#8a3fb8", "#a07800", "#c0246c"),
    *("#0f7f8c", "#6b5b4d", "#5a52d1", "#5c7d12", "#a33b3b", "#47708f"),
)
DARK_SERIES = (
    *("#6fa8ec", "#f08a4b", "#5cc489", "#c58be8", "#d9b23c", "#f07aae"),
    *("#58c3cf", "#b7a594", "#9c96f5", "#a5c653", "#e58383", "#8fb8d6"),
)
VARIABLES = {INK: "ink", SOFT: "soft", GRID: "grid", PAPER: "paper"} | {
    tone: f"s{i}" for i, tone in enumerate(SERIES)
}
DARK = {INK: "#e8eaed", SOFT: "#a3acb8", GRID: "#3a4049", PAPER: "#16181c"} | dict(
    zip(SERIES, DARK_SERIES, strict=True)
)
COLOURS = {
    "text.color axes.labelcolor xtick.labelcolor ytick.labelcolor": INK,
    "axes.edgecolor xtick.color ytick.color": SOFT,
    "grid.color": GRID,
    "axes.facecolor": "none",
    "figure.facecolor savefig.facecolor": PAPER,
}
WIDTH, HEIGHT = 4.6, 3.4  # inches: 442 x 326 CSS pixels, so that text stays readable on a phone
DPI = 160
DASHED = (0, (3, 3))
Drawn = tuple[Any, str]  # a matplotlib figure and its caption
INDEX = "index.json"
# What drawing raises for arrays of another kind or shape than a stage writes.
ODD = (ValueError, KeyError, IndexError, TypeError, AttributeError)


def settings():
    """A context in which figures are made and saved, whatever the user's matplotlibrc says."""
    import matplotlib

    colours: Any = {name: colour for names, colour in COLOURS.items() for name in names.split()}
    return matplotlib.rc_context(colours, Path(__file__).with_name("figure.mplstyle"))


def new_figure(height: float = HEIGHT) -> "Plot":
    """An empty figure, which belongs to no window and no global state."""
    from matplotlib import figure

    return figure.Figure(figsize=(WIDTH, height), layout="constrained")


def new_axes(height: float = HEIGHT) -> "Axes":
    """The axes of a new figure."""
    return new_figure(height).subplots()


def colour(i: int) -> str:
    """The i-th series."""
    return SERIES[i % len(SERIES)]


def log_scale(ax: "Axes", name: str) -> None:
    """Makes the axis "x" or "y" logarithmic, with plain numbers: matplotlib's are TeX in "$"."""
    ax.set(**{f"{name}scale": "log"})
    axis = getattr(ax, f"{name}axis")
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda value, _: "")


def cell(ax: "Axes", column: int, row: int, tone: str, alpha: float, *, framed: bool = False):
    """A coloured square of a table; at most half opaque, numbers on it stay readable."""
    from matplotlib.patches import Rectangle

    edge, place = INK if framed else "none", (column - 0.48, row - 0.48)
    ax.add_patch(Rectangle(place, 0.96, 0.96, fc=(tone, alpha), ec=edge, linewidth=1.4))


def write(ax: "Axes", x: float, y: float, text: str, size: float = 8, **options) -> None:
    """Text around a point of a table."""
    ax.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": size, **options})


def short(text: str, most: int) -> str:
    """The start of a name."""
    return text if len(text) <= most else text[: max(most - 1, 1)] + "…"


def both_ends(text: str, most: int) -> str:
    """A class's name made short: classes of one family often differ in their ends alone."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def save(figure: "Plot", place: Path, slug: str) -> None:
    """Writes <slug>.png and <slug>.svg."""
    place.mkdir(exist_ok=True)
    for kind, options in (("png", {"dpi": DPI}), ("svg", {"metadata": {"Date": None}})):
        if kind == "svg":  # laid out already
            figure.set_layout_engine("none")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, **options)
        with replacing(place / f"{slug}.{kind}") as file:
            file.write(buffer.getvalue())


def inline(svg: str, slug: str, label: str) -> str:
    """An SVG as a part of the page: no outside names, ids of its own, colours as variables.

    label: escaped already.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    opening, drawing = svg.split(">", 1)
    box = re.search(r'viewBox="([^"]+)"', opening)
    assert box is not None, "matplotlib writes a viewBox"
    width = float(box[1].split()[2]) * 4 / 3  # points to CSS pixels
    drawing = drawing.replace("xlink:href", "href")
    drawing = re.sub(r' id="([^"]+)"', rf' id="{slug}-\1"', drawing)
    drawing = re.sub(r'(href="|url\()#', rf"\1#{slug}-", drawing)
    for value, name in VARIABLES.items():
        drawing = drawing.replace(value, f"var(--{name})")
    style = f"max-width:{width * 1.15:.0f}px"
    return f'<svg viewBox="{box[1]}" style="{style}" role="img" aria-label="{label}">{drawing}'


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
    with settings():
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
            svg = inline(svg, figure.slug, html.escape(figure.title))
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
        save(drawn[0], place, figure.slug)
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
