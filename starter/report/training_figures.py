"""Figures of training: curves over updates, and the learning-rate range test.

Each takes what it draws and returns (figure, caption).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from starter.report import drawing
from starter.report.drawing import DASHED, SOFT, Drawn, colour, new_axes, new_figure, short
from starter.report.read import Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Placed = list[tuple[Stage, int]]  # a stage and the update at which it begins


def over_updates(stages: list[Stage], column: str, label: str, factor: float = 100) -> Drawn:
    """A column of the evaluated epochs over updates, stage after stage."""
    ax = new_axes()
    unit = " (%)" if factor == 100 else ""
    _plot(ax, _place(ax, stages), column, 0, factor, marker="o", markersize=3, clip_on=False)
    ax.set_ylabel(label + unit)
    return ax.figure, f"After each evaluated epoch: {label}."


def losses(stages: list[Stage]) -> Drawn:
    """Every term and the sum, a line an interval; stages may have losses of different size."""
    ax = new_axes()
    placed = _place(ax, stages)
    _plot(ax, placed, "loss", 0, label="sum")
    terms = list(dict.fromkeys(name for stage in stages for name in stage.terms))
    for i, name in enumerate(terms, 1):
        of_term = [(stage, start) for stage, start in placed if name in stage.terms]
        _plot(ax, of_term, name, i, linewidth=1, label=name)
    drawn = [value for stage in stages for value in stage.column("loss")[1]]
    if drawn and min(drawn) > 0 and max(drawn) > 20 * min(drawn):
        drawing.log_scale(ax, "y")
    ax.set_ylabel("training loss")
    if terms:
        ax.legend()
    return ax.figure, (
        "Training loss, as optimised: with margin, mixing and label smoothing. Stages have losses "
        "of their own, so their heights do not compare."
    )


def learning_rate(stages: list[Stage]) -> Drawn:
    """lr over updates."""
    ax = new_axes()
    _plot(ax, _place(ax, stages), "lr", 0)
    ax.set(ylabel="learning rate", ylim=(0, None))
    return ax.figure, "optimizer.lr with its warm-up and schedule; lr_scale multiplies it."


def throughput(stages: list[Stage]) -> Drawn:
    """Images a second, and the share of the time spent waiting for data."""
    ax = new_axes()
    wait = ax.twinx()
    placed = _place(ax, stages)
    _plot(ax, placed, "images_per_second", 0)
    _plot(wait, placed, "data_wait", 1, 100)
    highest = max((100 * v for stage in stages for v in stage.column("data_wait")[1]), default=0)
    ax.set_ylabel("images a second", color=colour(0))
    wait.set_ylabel("waiting for data (%)", color=colour(1))
    wait.grid(False)
    wait.spines["right"].set_visible(True)
    ax.set(ylim=(0, None))
    wait.set(ylim=(0, np.clip(1.3 * highest, 10, 100)))
    return ax.figure, (
        "Training only: evaluation and checkpoints are not counted. Waiting near 0 % means that "
        "the network, not the loading of images, sets the speed."
    )


def _plot(ax: "Axes", placed: Placed, column: str, i: int, factor: float = 1, **options) -> None:
    """A column as a line a stage, in the i-th colour; one label for all."""
    for stage, start in placed:
        steps, values = stage.column(column)
        if steps:
            many = {"marker": None} if len(steps) > 40 else {}
            x, y = start + np.array(steps), factor * np.array(values)
            ax.plot(x, y, color=colour(i), **{**options, **many})
            options.pop("label", None)


def _place(ax: "Axes", stages: list[Stage]) -> Placed:
    """Each stage with the update at which it begins; draws a line and its name there."""
    placed, start = [], 0
    total = max(sum(stage.last_step for stage in stages), 1)
    for stage in stages:
        if start:
            ax.axvline(start, color=SOFT, linewidth=0.8, linestyle=DASHED)
        share = stage.last_step / total
        if share > 0.08:  # else its name would lie over its neighbour's
            name, middle = short(stage.name, int(34 * share) + 1), start + stage.last_step / 2
            above = ax.get_xaxis_transform()
            drawing.write(ax, middle, 1.02, name, 9, transform=above, va="bottom", color=SOFT)
        placed.append((stage, start))
        start += stage.last_step
    ax.set(xlabel="updates", xlim=(0, total))
    ax.locator_params(axis="x", nbins=5)
    return placed


def draw_range_test(path: Path, lr_T, loss_T, smooth_T, suggested: float | None) -> None:
    """Writes the figure as PNG to `path` and as SVG beside it: loss over the learning rate (T
    updates of a range test), and the suggestion as a line where there is one."""
    with drawing.settings():
        ax = (figure := new_figure()).subplots()
        ax.plot(lr_T, loss_T, color=SOFT, linewidth=0.7, label="each update")
        ax.plot(lr_T, smooth_T, color=colour(0), label="smoothed")
        if suggested is not None:
            ax.axvline(suggested, color=colour(1), linestyle="--", label=f"suggested {suggested:g}")
        drawing.log_scale(ax, "x")
        ax.set(xlabel="learning rate", ylabel="loss")
        ax.legend()
        drawing.save(figure, path.parent, path.stem)
