"""The picture of a learning-rate range test.

Shapes: T updates.
"""

from pathlib import Path

import numpy as np

from starter.report.style import SOFT, colour, new_figure, save, settings


def draw_range_test(
    path: Path,
    lr_T: np.ndarray,
    loss_T: np.ndarray,
    smooth_T: np.ndarray,
    suggested: float | None,
) -> None:
    """Writes the figure as PNG to `path` and as SVG beside it: loss over the learning rate, and
    the suggestion as a line where there is one."""
    with settings():
        figure = new_figure()
        ax = figure.subplots()
        ax.plot(lr_T, loss_T, color=SOFT, linewidth=0.7, label="each update")
        ax.plot(lr_T, smooth_T, color=colour(0), label="smoothed")
        if suggested is not None:
            ax.axvline(suggested, color=colour(1), linestyle="--", label=f"suggested {suggested:g}")
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend()
        save(figure, path.parent, path.stem)
