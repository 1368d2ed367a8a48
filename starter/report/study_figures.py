"""Drawings of a study: its variants ranked, its grid, and how each of them learned.

Each takes the study and returns (figure, caption), or None where there is nothing to draw.
Shapes: S seeds of a variant, E epochs.
"""

from typing import Any

import numpy as np
import pandas as pd

from starter.report import drawing
from starter.report.drawing import DASHED, SOFT, Drawn, colour, new_axes, short
from starter.report.study_read import Study, called, scale

MOST = 40  # variants in a chart
OVERLAID = 6  # mean curves over each other
DENSE = 12  # cells along a side that leave room for numbers


def ranking(study: Study, column: str) -> Drawn | None:
    """Every variant's mean with its standard error, best on top, a dot a seed."""
    ranked = study.statistics(column)
    shown = ranked[:MOST]
    if shown.empty:
        return None
    factor, unit = scale(column)
    ax = new_axes(height=0.27 * len(shown) + 1.1)
    caption = "Mean and standard error over the seeds, the best on top; small dots are single runs."
    for y, (name, mean, error, count) in enumerate(shown.itertuples()):
        value_S = factor * study.values(column, name)
        ax.plot(value_S, np.full(len(value_S), y), ".", color=SOFT, markersize=4, alpha=0.7)
        bar: Any = {"markersize": 5, "elinewidth": 1.8, "capsize": 3, "color": colour(0)}
        xerr = [factor * error] if count > 1 else None
        ax.errorbar([factor * mean], [y], xerr=xerr, fmt="o", **bar)
    if column == study.metric:
        reported_V = factor * shown.index.to_series().map(study.reported)
        if reported_V.notna().any():
            ax.plot(reported_V, range(len(shown)), "D", color=colour(1), markersize=4.5)
            caption += " Diamonds: what was reported."
        if study.target is not None:
            ax.axvline(factor * study.target, color=SOFT, linewidth=0.9, linestyle=DASHED)
            caption += f" Dashed: the target, {factor * study.target:.2f}{unit}."
    if len(ranked) > len(shown):
        caption += f" {len(ranked) - len(shown)} more are in the table."
    ax.set_yticks(range(len(shown)), [short(name, 22) for name in shown.index], fontsize=8)
    ax.margins(x=0.06)
    ax.locator_params(axis="x", nbins=5)
    ax.set(ylim=(len(shown) - 0.4, -0.6), xlabel=_label(column))
    return ax.figure, caption


def over_key(study: Study, key: str) -> Drawn | None:
    """The metric over the one numeric key, mean and standard error."""
    at = study.statistics(study.metric, key).sort_index()
    if len(at) < 3:
        return None
    factor, _ = scale(study.metric)
    ax = new_axes()
    bar: dict[str, Any] = {"fmt": "o-", "color": colour(0), "markersize": 4, "capsize": 3}
    ax.errorbar(at.index, factor * at["mean"], yerr=factor * at["sem"].fillna(0), **bar)
    if at.index[0] > 0 and at.index[-1] / at.index[0] > 20:
        drawing.log_scale(ax, "x")
    ax.set(xlabel=short(_last(key), 40), ylabel=_label(study.metric))
    return ax.figure, "Mean and standard error of all runs with that value."


def grid(study: Study, left: str, right: str) -> Drawn | None:
    """A heat map: the metric's mean at every pair of values of two numeric keys."""
    at = study.statistics(study.metric, [left, right])
    if at.empty:
        return None
    rows, columns = (sorted(study.table[key].dropna().unique()) for key in (left, right))
    factor, unit = scale(study.metric)
    (best, low), high = (at.index[0], at["mean"].iloc[-1]), at["mean"].iloc[0]  # the best is first
    dense = max(len(rows), len(columns)) <= DENSE
    ax = new_axes(height=0.42 * min(len(rows), DENSE) + 1.1)
    ax.grid(False)
    for i, j in np.ndindex(len(rows), len(columns)):
        key = (rows[i], columns[j])
        if key not in at.index:
            drawing.write(ax, j, i, "-", color=SOFT)
            continue
        mean, error, count = at.loc[key]
        # At most half opaque: the numbers on it stay readable on white and on black.
        share = (mean - low) / (high - low) if high != low else 1.0
        drawing.cell(ax, j, i, colour(0), 0.04 + 0.46 * share, framed=key == best)
        if dense:
            spread = f"\n±{factor * error:.2f}" if count > 1 else ""
            size = 8 if len(columns) <= 7 else 6
            drawing.write(ax, j, i, f"{factor * mean:.2f}{spread}", size, linespacing=0.95)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(columns)), [f"{value:g}" for value in columns])
    ax.set_yticks(range(len(rows)), [f"{value:g}" for value in rows])
    ax.set(xlabel=short(_last(right), 40), ylabel=short(_last(left), 16))
    return ax.figure, (
        f"{called(study.metric)}{unit}: mean and standard error over the runs with both values; "
        f"the stronger the colour, the better: {factor * at['mean'].min():.2f} to "
        f"{factor * at['mean'].max():.2f}. Framed: the best, {left} {best[0]:g} and {right} "
        f"{best[1]:g}."
    )


def curve(study: Study, variant: str) -> Drawn | None:
    """A variant's metric over epochs: every seed, their range, their mean; the best in grey."""
    curves = study.curves(variant)
    if curves.empty:
        return None
    factor, _ = scale(study.metric)
    ax = new_axes(height=2.6)
    best = next(iter(study.statistics(study.metric).index), variant)
    if best != variant:
        mean_E = factor * study.curves(best).mean(axis=1)
        label = f"best: {short(best, 24)}"
        ax.plot(mean_E, color=SOFT, linewidth=1, linestyle=(0, (4, 2)), label=label)
    ax.plot(factor * curves, color=colour(0), linewidth=0.7, alpha=0.6)
    _mean_line(ax, factor * curves, colour(0), short(variant, 30))
    ax.set_ylabel(_label(study.metric))
    if best != variant:
        ax.legend(loc="lower right" if study.higher else "upper right")
    text = "runs: thin lines; their range: the band; their mean: the thick line."
    return ax.figure, f"{curves.shape[1]} {text}"


def best_curves(study: Study) -> Drawn | None:
    """The mean curves of the best variants, over each other."""
    names = study.statistics(study.metric).index[:OVERLAID]
    factor, _ = scale(study.metric)
    curves = {name: factor * study.curves(name) for name in names}
    curves = {name: table for name, table in curves.items() if len(table)}
    if len(curves) < 2:
        return None
    ax = new_axes(height=3.8)
    for i, (name, table) in enumerate(curves.items()):
        _mean_line(ax, table, colour(i), short(name, 24), 0.12)
    if study.target is not None:
        ax.axhline(factor * study.target, color=SOFT, linewidth=0.9, linestyle=DASHED)
    ax.set_ylabel(_label(study.metric))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return ax.figure, f"The {len(curves)} best: mean over the seeds, and the seeds' range."


def _mean_line(ax, curves: pd.DataFrame, tone: str, label: str, alpha: float = 0.18) -> None:
    """Mean and range of runs; curves: a row an epoch, a column a run."""
    low_E, high_E = curves.min(axis=1), curves.max(axis=1)
    ax.fill_between(curves.index, low_E, high_E, color=tone, alpha=alpha, linewidth=0)
    marker = "o" if len(curves) < 4 else None
    ax.plot(curves.mean(axis=1), color=tone, label=label, linewidth=1.8, marker=marker, ms=4)
    ax.set(xlabel="epochs")
    ax.locator_params(axis="x", integer=True, nbins=6)


def _last(key: str) -> str:
    """The end of a key's dotted path; the title says the whole."""
    return key.rsplit(".", 1)[-1]


def _label(column: str) -> str:
    unit = scale(column)[1].strip()
    return f"{called(column)} ({unit})" if unit else called(column)
