"""Drawings of a study: its variants ranked, its grid, and how each of them learned.

Each takes the study and returns (figure, caption), or None where there is nothing to draw.
Shapes: S seeds of a variant, E epochs, R rows and C columns of a grid.
"""

import numpy as np

from starter.report.plots import Drawn, legend, short
from starter.report.read import Run
from starter.report.study_read import Study, curve_of, mean_error
from starter.report.study_words import called, higher_is_better, scale
from starter.report.style import INK, SOFT, colour, new_axes

MOST = 40  # variants in a chart
OVERLAID = 6  # mean curves over each other
DENSE = 12  # cells along a side that leave room for numbers


def ranking(study: Study, column: str) -> Drawn | None:
    """Every variant's mean with its standard error, best on top, a dot a seed."""
    names = study.ranked(column, higher_is_better(study, column))[:MOST]
    if not names:
        return None
    factor, unit = scale(column)
    ax = new_axes(height=0.27 * len(names) + 1.1)
    for y, name in enumerate(names):
        value_S = factor * study.values(study.of(name), column)
        mean, error = mean_error(value_S)
        ax.plot(value_S, np.full(len(value_S), y), ".", color=SOFT, markersize=4, alpha=0.7)
        ax.errorbar(
            [mean],
            [y],
            xerr=None if error is None else [error],
            fmt="o",
            markersize=5,
            color=colour(0),
            elinewidth=1.8,
            capsize=3,
        )
        if column == study.metric and name in study.reported:
            ax.plot([factor * study.reported[name]], [y], "D", color=colour(1), markersize=4.5)
    told = ""
    if column == study.metric and any(name in study.reported for name in names):
        told = " Diamonds: what was reported."
    if column == study.metric and study.target is not None:
        ax.axvline(factor * study.target, color=SOFT, linewidth=0.9, linestyle=(0, (3, 3)))
        told += f" Dashed: the target, {factor * study.target:.2f}{unit}."
    ax.set_yticks(range(len(names)), [short(name, 22) for name in names], fontsize=8)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.margins(x=0.06)
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel(_label(column))
    left = len(study.ranked(column, True)) - len(names)
    more = f" {left} more are in the table." if left else ""
    return ax.figure, (
        "Mean and standard error over the seeds, the best on top; small dots are single runs."
        + told
        + more
    )


def over_key(study: Study, key: str) -> Drawn | None:
    """The metric over the one numeric key, mean and standard error."""
    at = [
        (value, study.values(study.where({key: value}), study.metric))
        for value in study.numeric[key]
    ]
    at = [(value, value_S) for value, value_S in at if len(value_S)]
    if len(at) < 3:
        return None
    factor, _ = scale(study.metric)
    xs, means = [value for value, _ in at], [factor * value_S.mean() for _, value_S in at]
    errors = [factor * (mean_error(value_S)[1] or 0) for _, value_S in at]
    ax = new_axes()
    ax.errorbar(xs, means, yerr=errors, fmt="o-", color=colour(0), markersize=4, capsize=3)
    if xs[0] > 0 and xs[-1] / xs[0] > 20:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(lambda value, _: "")
    ax.set_xlabel(short(_last(key), 40))
    ax.set_ylabel(_label(study.metric))
    return ax.figure, "Mean and standard error of all runs with that value."


def grid(study: Study, left: str, right: str) -> Drawn | None:
    """A heat map: the metric's mean at every pair of values of two numeric keys."""
    rows, columns = study.numeric[left], study.numeric[right]
    mean_RC = np.full((len(rows), len(columns)), np.nan)
    error_RC = mean_RC.copy()
    for i, j in np.ndindex(*mean_RC.shape):
        value_S = study.values(study.where({left: rows[i], right: columns[j]}), study.metric)
        if len(value_S):
            mean, error = mean_error(value_S)
            mean_RC[i, j], error_RC[i, j] = mean, np.nan if error is None else error
    if np.isnan(mean_RC).all():
        return None
    factor, unit = scale(study.metric)
    good_RC = mean_RC if study.higher else -mean_RC
    best = np.unravel_index(np.nanargmax(good_RC), good_RC.shape)
    low, high = np.nanmin(good_RC), np.nanmax(good_RC)
    ax = new_axes(height=0.42 * min(len(rows), DENSE) + 1.1)
    ax.grid(False)
    for i, j in np.ndindex(*mean_RC.shape):
        if np.isnan(mean_RC[i, j]):
            ax.text(j, i, "-", ha="center", va="center", fontsize=8, color=SOFT)
            continue
        # At most half opaque: the numbers on it stay readable on white and on black.
        share = (good_RC[i, j] - low) / (high - low) if high > low else 1.0
        ax.add_patch(_cell(j, i, 0.04 + 0.46 * share, best == (i, j)))
        if max(mean_RC.shape) <= DENSE:
            spread = "" if np.isnan(error_RC[i, j]) else f"\n±{factor * error_RC[i, j]:.2f}"
            size = 8 if len(columns) <= 7 else 6
            ax.text(
                j,
                i,
                f"{factor * mean_RC[i, j]:.2f}{spread}",
                ha="center",
                va="center",
                fontsize=size,
                linespacing=0.95,
            )
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), [f"{value:g}" for value in columns])
    ax.set_yticks(range(len(rows)), [f"{value:g}" for value in rows])
    ax.set_xlabel(short(_last(right), 40))
    ax.set_ylabel(short(_last(left), 16))
    return ax.figure, (
        f"{called(study.metric)}{unit}: mean and standard error over the runs with both values; "
        f"the stronger the colour, the better: {factor * float(np.nanmin(mean_RC)):.2f} to "
        f"{factor * float(np.nanmax(mean_RC)):.2f}. Framed: the best, {left} {rows[best[0]]:g} "
        f"and {right} {columns[best[1]]:g}."
    )


def _last(key: str) -> str:
    """The end of a key's dotted path; the title says the whole."""
    return key.rsplit(".", 1)[-1]


def _label(column: str) -> str:
    unit = scale(column)[1].strip()
    return f"{called(column)} ({unit})" if unit else called(column)


def _cell(x: float, y: float, alpha: float, framed: bool):
    from matplotlib.patches import Rectangle

    face = (*_rgb(colour(0)), alpha)
    return Rectangle(
        (x - 0.48, y - 0.48),
        0.96,
        0.96,
        facecolor=face,
        edgecolor=INK if framed else "none",
        linewidth=1.4,
    )


def _rgb(tone: str) -> tuple[float, ...]:
    return tuple(int(tone[i : i + 2], 16) / 255 for i in (1, 3, 5))


def averaged(runs: list[Run], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """epoch_E, and value_SE of the runs at the epochs that all of them have measured."""
    curves = [dict(zip(*curve_of(run, metric), strict=True)) for run in runs]
    curves = [found for found in curves if found]
    shared = sorted(set.intersection(*map(set, curves))) if curves else []
    value_SE = np.array([[found[epoch] for epoch in shared] for found in curves], float)
    return np.array(shared), value_SE.reshape(len(curves), len(shared))


def curve(study: Study, variant: str) -> Drawn | None:
    """A variant's metric over epochs: every seed, their range, their mean; the best in grey."""
    epoch_E, value_SE = averaged(study.runs[variant], study.metric)
    if not len(epoch_E):
        return None
    factor, _ = scale(study.metric)
    ax = new_axes(height=2.6)
    best = next(iter(study.ranked(study.metric, study.higher)), variant)
    if best != variant:
        other_E, other_SE = averaged(study.runs[best], study.metric)
        ax.plot(
            other_E,
            factor * other_SE.mean(0),
            color=SOFT,
            linewidth=1,
            linestyle=(0, (4, 2)),
            label=f"best: {short(best, 24)}",
        )
    for value_E in factor * value_SE:
        ax.plot(epoch_E, value_E, color=colour(0), linewidth=0.7, alpha=0.6)
    _mean_line(ax, epoch_E, factor * value_SE, colour(0), short(variant, 30))
    ax.set_ylabel(_label(study.metric))
    if best != variant:
        legend(ax, 2, loc="lower right" if study.higher else "upper right")
    return ax.figure, (
        f"{len(value_SE)} runs: thin lines; their range: the band; their mean: the thick line."
    )


def best_curves(study: Study) -> Drawn | None:
    """The mean curves of the best variants, over each other."""
    names = study.ranked(study.metric, study.higher)[:OVERLAID]
    factor, _ = scale(study.metric)
    ax, drawn = new_axes(height=3.8), 0
    for name in names:
        epoch_E, value_SE = averaged(study.runs[name], study.metric)
        if len(epoch_E):
            _mean_line(ax, epoch_E, factor * value_SE, colour(drawn), short(name, 24), 0.12)
            drawn += 1
    if drawn < 2:
        return None
    if study.target is not None:
        ax.axhline(factor * study.target, color=SOFT, linewidth=0.9, linestyle=(0, (3, 3)))
    ax.set_ylabel(_label(study.metric))
    legend(ax, drawn, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return ax.figure, f"The {drawn} best: mean over the seeds, and the seeds' range."


def _mean_line(ax, epoch_E, value_SE, tone: str, label: str, alpha: float = 0.18) -> None:
    ax.fill_between(epoch_E, value_SE.min(0), value_SE.max(0), color=tone, alpha=alpha, linewidth=0)
    ax.plot(
        epoch_E,
        value_SE.mean(0),
        color=tone,
        linewidth=1.8,
        label=label,
        marker="o" if len(epoch_E) < 4 else None,
        markersize=4,
    )
    ax.set_xlabel("epochs")
    ax.locator_params(axis="x", integer=True, nbins=6)
