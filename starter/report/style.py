"""How figures look, and how one becomes a PNG, an SVG and a part of the page.

Every colour is one of a few fixed ones; in the page each becomes a CSS variable, so that the same
drawing is readable on white and on black.
"""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, GRID, PAPER = "#1f2329", "#5f6773", "#d9dde3", "#fefefe"
SERIES = (
    "#2462a9",
    "#c2500d",
    "#187a43",
    "#8a3fb8",
    "#a07800",
    "#c0246c",
    "#0f7f8c",
    "#6b5b4d",
    "#5a52d1",
    "#5c7d12",
    "#a33b3b",
    "#47708f",
)
VARIABLES = {INK: "ink", SOFT: "soft", GRID: "grid", PAPER: "paper"} | {
    colour: f"s{i}" for i, colour in enumerate(SERIES)
}
DARK = {INK: "#e8eaed", SOFT: "#a3acb8", GRID: "#3a4049", PAPER: "#16181c"} | dict(
    zip(
        SERIES,
        (
            "#6fa8ec",
            "#f08a4b",
            "#5cc489",
            "#c58be8",
            "#d9b23c",
            "#f07aae",
            "#58c3cf",
            "#b7a594",
            "#9c96f5",
            "#a5c653",
            "#e58383",
            "#8fb8d6",
        ),
        strict=True,
    )
)
WIDTH, HEIGHT = 4.6, 3.4  # inches: 442 x 326 CSS pixels, so that text stays readable on a phone
DPI = 160

SETTINGS: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "starter",
    "text.parse_math": False,
    "path.simplify": True,
}


def settings():
    """A context in which figures are made and saved."""
    import matplotlib

    return matplotlib.rc_context(SETTINGS)


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> "Figure":
    """An empty figure for the Agg backend; belongs to no window and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_axes(width: float = WIDTH, height: float = HEIGHT) -> "Axes":
    """The axes of a new figure."""
    return new_figure(width, height).subplots()


def colour(i: int) -> str:
    """The colour of the i-th series."""
    return SERIES[i % len(SERIES)]


def save(figure: "Figure", place: Path, slug: str) -> None:
    """Writes <slug>.png and <slug>.svg."""
    place.mkdir(exist_ok=True)
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        if kind == "svg":  # laid out already
            figure.set_layout_engine("none")
        options: dict = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": DPI}
        figure.savefig(buffer, format=kind, **options)
        part = place / f".{slug}.{kind}.part"
        part.write_bytes(buffer.getvalue())
        part.replace(place / f"{slug}.{kind}")


def inline(svg: str, slug: str, label: str) -> str:
    """An SVG as a part of the page: no outside names, ids of its own, colours as variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    opening, rest = svg.split(">", 1)
    found = re.search(r'viewBox="([^"]+)"', opening)
    box = found.group(1) if found else "0 0 100 100"
    width = float(box.split()[2]) * 4 / 3  # points to CSS pixels
    rest = rest.replace("xlink:href", "href")
    rest = re.sub(r' id="([^"]+)"', rf' id="{slug}-\1"', rest)
    rest = re.sub(r'(href="|url\()#', rf"\1#{slug}-", rest)
    for value, name in VARIABLES.items():
        rest = rest.replace(value, f"var(--{name})")
    return (
        f'<svg viewBox="{box}" style="max-width:{width * 1.15:.0f}px" role="img" '
        f'aria-label="{label}">{rest}'
    )
