"""How figures look, and how one becomes a PNG, an SVG and a part of the page.

Every colour is one of a few fixed ones; in the page each becomes a CSS variable, so that the same
drawing is readable on white and on black.
"""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starter.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def settings():
    """A context in which figures are made and saved, whatever the user's matplotlibrc says."""
    import matplotlib

    colours: Any = {name: colour for names, colour in COLOURS.items() for name in names.split()}
    return matplotlib.rc_context(colours, Path(__file__).with_name("figure.mplstyle"))


def new_figure(height: float = HEIGHT) -> "Figure":
    """An empty figure, which belongs to no window and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


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


def save(figure: "Figure", place: Path, slug: str) -> None:
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
