"""Figures of numbers: training curves, ROC, DET, score histograms.

Each takes what it draws and returns (figure, caption). Shapes as in curves.py.
"""

from typing import TYPE_CHECKING

import numpy as np

from starter.report.curves import Curve
from starter.report.read import Stage
from starter.report.style import INK, SOFT, colour, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Drawn = tuple  # (matplotlib figure, caption)
BINS = 60  # of a histogram, at most
RATES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)  # ticks of the DET axes


def training(stages: list[Stage], columns: dict[str, str], label: str, *, percent: bool) -> Drawn:
    """Columns of the epochs over updates, stage after stage. columns: name -> how it is called."""
    ax = new_axes()
    factor = 100 if percent else 1
    drawn = set()
    for stage, start in _placed(ax, stages):
        for i, (name, called) in enumerate(columns.items()):
            steps, values = stage.column(name)
            if not steps:
                continue
            ax.plot(
                [start + step for step in steps],
                [factor * value for value in values],
                color=colour(i),
                marker="o" if len(steps) < 40 else None,
                markersize=3,
                clip_on=False,
                label=None if name in drawn else called,
            )
            drawn.add(name)
    ax.set_ylabel(label)
    if len(columns) > 1:
        legend(ax, len(drawn))
    return ax.figure, f"After each evaluated epoch: {', '.join(columns.values())}."


def losses(stages: list[Stage]) -> Drawn:
    """Every term and the sum, a line an interval; stages may have losses of different size."""
    ax = new_axes()
    names: list[str] = []
    for stage, start in _placed(ax, stages):
        rows = stage.intervals or stage.epochs
        terms = (
            [
                name
                for name in rows[0]
                if name not in ("kind", "step", "lr", "loss") and stage.intervals
            ]
            if rows
            else []
        )
        for name in ["loss", *(terms if len(terms) > 1 else [])]:
            steps, values = stage.column(name, rows)
            new = name not in names
            names += [name] if new else []
            ax.plot(
                [start + step for step in steps],
                values,
                color=colour(names.index(name)),
                linewidth=1.6 if name == "loss" else 1,
                label=("sum" if name == "loss" else name) if new else None,
            )
    drawn = [value for stage in stages for value in stage.column("loss")[1]]
    if drawn and min(drawn) > 0 and max(drawn) > 20 * min(drawn):
        ax.set_yscale("log")
    ax.set_ylabel("training loss")
    if len(names) > 1:
        legend(ax, len(names))
    return ax.figure, (
        "Training loss, as optimised: with margin, mixing and label smoothing. Stages have losses "
        "of their own, so their heights do not compare."
    )


def learning_rate(stages: list[Stage]) -> Drawn:
    """lr over updates."""
    ax = new_axes()
    for stage, start in _placed(ax, stages):
        steps, values = stage.column("lr", stage.intervals)
        ax.plot([start + step for step in steps], values, color=colour(0))
    ax.set_ylabel("learning rate")
    ax.set_ylim(bottom=0)
    return ax.figure, "optimizer.lr with its warm-up and schedule; lr_scale multiplies it."


def throughput(stages: list[Stage]) -> Drawn:
    """Images a second, and the share of the time spent waiting for data."""
    ax = new_axes()
    wait = ax.twinx()
    highest = 0.0
    for stage, start in _placed(ax, stages):
        for axes, name, factor, tone in (
            (ax, "images_per_second", 1, colour(0)),
            (wait, "data_wait", 100, colour(1)),
        ):
            steps, values = stage.column(name)
            axes.plot([start + s for s in steps], [factor * v for v in values], color=tone)
        highest = max([highest, *(100 * value for value in stage.column("data_wait")[1])])
    ax.set_ylabel("images a second", color=colour(0))
    wait.set_ylabel("waiting for data (%)", color=colour(1))
    wait.grid(False)
    wait.spines["right"].set_visible(True)
    ax.set_ylim(bottom=0)
    wait.set_ylim(0, max(10, min(100, 1.3 * highest)))
    return ax.figure, (
        "Training only: evaluation and checkpoints are not counted. Waiting near 0 % means that "
        "the network, not the loading of images, sets the speed."
    )


def _placed(ax: "Axes", stages: list[Stage]) -> list[tuple[Stage, int]]:
    """Each stage with the update at which it begins; draws a line and its name there."""
    placed, start = [], 0
    begun = [stage for stage in stages if stage.begun]
    total = max(sum(stage.last_step for stage in begun), 1)
    for i, stage in enumerate(begun):
        if i:
            ax.axvline(start, color=SOFT, linewidth=0.8, linestyle=(0, (3, 3)))
        share = stage.last_step / total
        if share > 0.08:  # else its name would lie over its neighbour's
            name, middle = short(stage.name, int(34 * share) + 1), start + stage.last_step / 2
            ax.text(
                middle,
                1.02,
                name,
                transform=ax.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=9,
                color=SOFT,
            )
        placed.append((stage, start))
        start += stage.last_step
    ax.set_xlabel("updates")
    ax.set_xlim(0, total)
    ax.locator_params(axis="x", nbins=5)
    return placed


def roc(curves: list[Curve], shown: Curve) -> Drawn:
    """TAR over FAR on a log axis, the EER and the TARs at the FARs that can be resolved."""
    ax = new_axes()
    least = 1 / shown.found["impostor"]
    for i, curve in enumerate(curves):
        tone = colour(i)
        if curve is shown and len(curve.low_G):
            ax.fill_between(
                curve.grid_G,
                100 * curve.low_G,
                100 * curve.high_G,
                step="post",
                color=tone,
                alpha=0.18,
                linewidth=0,
            )
        ax.plot(
            np.maximum(curve.far_T, least / 2),
            100 * curve.tar_T,
            drawstyle="steps-post",
            color=tone,
            linewidth=2 if curve is shown else 1.3,
            label=short(curve.name, 30),
        )
        ax.plot([curve.eer], [100 * (1 - curve.eer)], "o", color=tone, markersize=5)
    at = {float(far): tar for far, tar in shown.found["tar_at_far"].items()}
    ax.plot(list(at), [100 * tar for tar in at.values()], "D", color=INK, markersize=3.5)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(lambda value, _: "")
    ax.set_xlim(min(least, 0.5), 1)
    lowest = min(
        (100 * curve.tar_T[np.searchsorted(curve.far_T, least, "right") - 1] for curve in curves),
        default=0,
    )
    ax.set_ylim(max(0, 10 * np.floor(lowest / 10) - 10), 101)
    ax.set_xlabel("false accept rate, FAR")
    ax.set_ylabel("true accept rate, TAR (%)")
    legend(ax, len(curves), loc="lower right")
    numbers = "; ".join(f"{100 * tar:.1f} % at FAR {far:g}" for far, tar in at.items())
    return ax.figure, (
        f"Circles: equal error rate, {100 * shown.eer:.2f} % for {shown.name}. "
        + (f"Diamonds, {shown.name}: TAR {numbers}. " if numbers else "")
        + f"{shown.found['resolution']}."
        + _band(shown)
    )


def det(curves: list[Curve], shown: Curve) -> Drawn:
    """FRR over FAR on normal-deviate axes (Martin et al. 1997): normal scores give a line."""
    from scipy.stats import norm

    ax = new_axes(height=3.9)
    genuine, impostor = shown.found["genuine"], shown.found["impostor"]
    low_x, low_y = (max(min(0.5 / count, 0.05), 5e-5) for count in (impostor, genuine))
    for i, curve in enumerate(curves):
        far_T, frr_T = (np.clip(rate, 1e-9, 1 - 1e-9) for rate in (curve.far_T, 1 - curve.tar_T))
        ax.plot(
            norm.ppf(far_T),
            norm.ppf(frr_T),
            color=colour(i),
            drawstyle="steps-post",
            linewidth=2 if curve is shown else 1.3,
            label=short(curve.name, 30),
        )
        if 0 < curve.eer < 1:
            ax.plot(*2 * [norm.ppf(curve.eer)], "o", color=colour(i), markersize=5)
        if curve is shown and len(curve.low_G):
            low_G, high_G = (
                norm.ppf(np.clip(1 - tar, 1e-9, 1 - 1e-9)) for tar in (curve.high_G, curve.low_G)
            )
            grid_G = norm.ppf(np.clip(curve.grid_G, 1e-9, 1 - 1e-9))
            ax.fill_between(
                grid_G, low_G, high_G, step="post", color=colour(i), alpha=0.18, linewidth=0
            )
    for axis, low in (("x", low_x), ("y", low_y)):
        ticks = [rate for rate in RATES if rate >= low]
        getattr(ax, f"set_{axis}ticks")(norm.ppf(ticks), [f"{100 * rate:g}" for rate in ticks])
    ax.set_xlim(norm.ppf(low_x), norm.ppf(0.9))
    ax.set_ylim(norm.ppf(low_y), norm.ppf(0.9))
    ends = norm.ppf([max(low_x, low_y), 0.9])
    ax.plot(ends, ends, color=SOFT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    ax.set_xlabel("false accept rate (%)")
    ax.set_ylabel("false reject rate (%)")
    legend(ax, len(curves), loc="upper right")
    return ax.figure, (
        "Detection error trade-off: both errors on normal-deviate axes, where normally "
        "distributed scores give a straight line. Lower left is better; the dashed line, "
        "where both errors are equal, meets each curve at its EER." + _band(shown)
    )


def _band(curve: Curve) -> str:
    if not len(curve.low_G):
        return ""
    return (
        f" Band, {curve.name}: 95 % of {curve.resamples} bootstrap resamples, drawn by "
        f"{curve.resampled_by}."
    )


def scores(score_P: np.ndarray, same_P: np.ndarray, curve: Curve) -> Drawn:
    """Histograms of both kinds of pairs, each of area 1, with the threshold."""
    ax = new_axes()
    bins = int(np.clip(np.sqrt(len(score_P)), 12, BINS))
    edges = np.linspace(score_P.min(), max(score_P.max(), score_P.min() + 1e-3), bins + 1)
    for i, (called, of_P) in enumerate((("impostor", ~same_P), ("genuine", same_P))):
        tone = colour(1 - i)
        density, _ = np.histogram(score_P[of_P], edges, density=True)
        ax.stairs(density, edges, fill=True, color=tone, alpha=0.35)
        ax.stairs(
            density, edges, color=tone, linewidth=1.3, label=f"{called} ({int(of_P.sum()):,})"
        )
    threshold = curve.found["thresholds"]["eer"]
    ax.axvline(
        threshold,
        color=INK,
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        label=f"threshold {threshold:.3f}",
    )
    ax.set_xlabel("score (cosine)")
    ax.set_ylabel("density")
    ax.set_ylim(0, 1.32 * ax.get_ylim()[1])  # room for the legend
    legend(ax, 3, loc="upper left")
    accepted_P = score_P >= threshold
    wrong = int((accepted_P & ~same_P).sum()), int((~accepted_P & same_P).sum())
    return ax.figure, (
        f"Scores of {curve.name}. At the threshold of the EER {wrong[0]:,} of "
        f"{curve.found['impostor']:,} impostor pairs are accepted and {wrong[1]:,} of "
        f"{curve.found['genuine']:,} genuine pairs rejected; accuracy at its own best threshold "
        f"{100 * curve.found['accuracy']:.2f} %."
    )


def legend(ax: "Axes", entries: int, **options) -> None:
    if entries:
        ax.legend(handlelength=1.4, labelspacing=0.3, borderaxespad=0.3, **options)


def both_ends(text: str, most: int) -> str:
    """A class's name made short: classes of one family often differ in their ends alone."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(most - 1, 1)] + "…"
