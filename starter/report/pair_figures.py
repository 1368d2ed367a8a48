"""Figures of scored pairs: ROC, DET, histograms, calibration.

Each takes what it draws and returns (figure, caption). Shapes as in curves.py; B bins.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from starter.report import style
from starter.report.curves import Curve
from starter.report.read import number
from starter.report.render import Drawn
from starter.report.style import DASHED, INK, SOFT, colour, new_axes, new_figure, short

BINS = 60  # of a histogram, at most
RATES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)  # ticks of the DET axes
CALIBRATION_BINS = 10  # of equal width, as metrics.judge_calibration makes them


def roc(curves: list[Curve], shown: Curve) -> Drawn:
    """TAR over FAR on a log axis, the EER and the TARs at the FARs that can be resolved."""
    ax = new_axes()
    least = 1 / shown.metrics["impostor"]
    _draw_curves(ax, curves, shown, lambda far: np.maximum(far, least / 2), lambda tar: 100 * tar)
    tar_at = {float(far): 100 * tar for far, tar in shown.metrics["tar_at_far"].items()}
    ax.plot(list(tar_at), list(tar_at.values()), "D", color=INK, markersize=3.5)
    style.log_scale(ax, "x")
    ax.set_xlim(min(least, 0.5), 1)
    at_least = (curve.tar_T[np.searchsorted(curve.far_T, least, "right") - 1] for curve in curves)
    lowest = 100 * min(at_least)
    ax.set_ylim(max(0, 10 * np.floor(lowest / 10) - 10), 101)
    ax.set(xlabel="false accept rate, FAR", ylabel="true accept rate, TAR (%)")
    ax.legend(loc="lower right")
    numbers = "; ".join(f"{tar:.1f} % at FAR {far:g}" for far, tar in tar_at.items())
    return ax.figure, (
        f"Circles: equal error rate, {100 * shown.eer:.2f} % for {shown.name}. "
        + (f"Diamonds, {shown.name}: TAR {numbers}. " if numbers else "")
        + f"{shown.metrics['resolution']}.{_band(shown)}"
    )


def det(curves: list[Curve], shown: Curve) -> Drawn:
    """FRR over FAR on normal-deviate axes (Martin et al. 1997): normal scores give a line."""
    from scipy.stats import norm

    def deviate(rate):
        return norm.ppf(np.clip(rate, 1e-9, 1 - 1e-9))

    ax = new_axes(height=3.9)
    _draw_curves(ax, curves, shown, deviate, lambda tar: deviate(1 - tar))
    lowest = []
    for axis, kind in (("x", "impostor"), ("y", "genuine")):
        lowest.append(max(min(0.5 / shown.metrics[kind], 0.05), 5e-5))
        ticks = [rate for rate in RATES if rate >= lowest[-1]]
        labels = [f"{100 * rate:g}" for rate in ticks]
        ax.set(**{f"{axis}ticks": deviate(ticks), f"{axis}ticklabels": labels})
        ax.set(**{f"{axis}lim": deviate([lowest[-1], 0.9])})
    ends = deviate([max(lowest), 0.9])
    ax.plot(ends, ends, color=SOFT, linewidth=0.8, linestyle=DASHED, zorder=1)
    ax.set(xlabel="false accept rate (%)", ylabel="false reject rate (%)")
    ax.legend(loc="upper right")
    return ax.figure, (
        "Detection error trade-off: both errors on normal-deviate axes, where normally "
        "distributed scores give a straight line. Lower left is better; the dashed line, "
        "where both errors are equal, meets each curve at its EER." + _band(shown)
    )


def _draw_curves(ax, curves: list[Curve], shown: Curve, x_of: Callable, y_of: Callable) -> None:
    """Every curve with its EER; the shown one stands out and has its band.

    x_of, y_of: FAR and TAR to the axes' scales.
    """
    for i, curve in enumerate(curves):
        tone, width = colour(i), 2 if curve is shown else 1.3
        if curve is shown and len(curve.low_G):
            low_G, high_G = y_of(curve.low_G), y_of(curve.high_G)
            band: dict[str, Any] = {"step": "post", "alpha": 0.18, "linewidth": 0}
            ax.fill_between(x_of(curve.grid_G), low_G, high_G, color=tone, **band)
        line: dict[str, Any] = {"linewidth": width, "label": short(curve.name, 30)}
        ax.step(x_of(curve.far_T), y_of(curve.tar_T), where="post", color=tone, **line)
        ax.plot([x_of(curve.eer)], [y_of(1 - curve.eer)], "o", color=tone, markersize=5)


def _band(curve: Curve) -> str:
    if not len(curve.low_G):
        return ""
    drawn = f"{curve.resamples} bootstrap resamples, drawn by {curve.resampled_by}"
    return f" Band, {curve.name}: 95 % of {drawn}."


def scores(score_P: np.ndarray, same_P: np.ndarray, curve: Curve) -> Drawn:
    """Histograms of both kinds of pairs, each of area 1, with the threshold."""
    ax = new_axes()
    bins = int(np.clip(np.sqrt(len(score_P)), 12, BINS))
    edges = np.linspace(score_P.min(), max(score_P.max(), score_P.min() + 1e-3), bins + 1)
    for i, (kind, of_P) in enumerate((("impostor", ~same_P), ("genuine", same_P))):
        density, _ = np.histogram(score_P[of_P], edges, density=True)
        ax.stairs(density, edges, fill=True, color=colour(1 - i), alpha=0.35)
        label = f"{kind} ({int(of_P.sum()):,})"
        ax.stairs(density, edges, color=colour(1 - i), linewidth=1.3, label=label)
    threshold = curve.metrics["thresholds"]["eer"]
    label = f"threshold {threshold:.3f}"
    ax.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label=label)
    top = 1.32 * ax.get_ylim()[1]  # room for the legend
    ax.set(xlabel="score (cosine)", ylabel="density", ylim=(0, top))
    ax.legend(loc="upper left")
    accepted_P = score_P >= threshold
    wrong = int((accepted_P & ~same_P).sum()), int((~accepted_P & same_P).sum())
    return ax.figure, (
        f"Scores of {curve.name}. At the threshold of the EER {wrong[0]:,} of "
        f"{curve.metrics['impostor']:,} impostor pairs are accepted and {wrong[1]:,} of "
        f"{curve.metrics['genuine']:,} genuine pairs rejected; accuracy at its own best threshold "
        f"{100 * curve.metrics['accuracy']:.2f} %."
    )


def calibration(kept: dict) -> Drawn | None:
    """Observed over predicted share of genuine pairs, and how many pairs each bin has.

    kept: verify/calibration.json: bins of {"predicted", "observed", "count"}, brier, ece,
    log_loss, prior, kind, folded_by. None where the pairs were too few for bins.
    """
    from scipy.stats import binomtest

    bins = kept.get("bins")
    if not bins:
        return None
    said_B, seen_B, count_B = (
        np.array([float(one[name]) for one in bins]) for name in ("predicted", "observed", "count")
    )
    figure = new_figure(height=4.2)
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    ax.plot([0, 100], [0, 100], color=SOFT, linewidth=0.9, linestyle=DASHED)
    for said, seen, count in zip(said_B, seen_B, count_B, strict=True):
        share = binomtest(round(seen * count), int(count)).proportion_ci(method="wilson")
        ax.vlines(100 * said, 100 * share.low, 100 * share.high, color=colour(0), linewidth=1.4)
    ax.plot(100 * said_B, 100 * seen_B, "o-", color=colour(0), markersize=5, linewidth=1)
    ax.set(ylabel="observed (%)", ylim=(-4, 104), xlim=(-4, 104))
    width = 100 / CALIBRATION_BINS
    middle_B = width * (np.minimum(said_B * CALIBRATION_BINS, CALIBRATION_BINS - 1) // 1 + 0.5)
    below.bar(middle_B, count_B, width=0.9 * width, color=colour(0), alpha=0.5)
    for x, count in zip(middle_B, count_B, strict=True):
        style.write(below, x, count, f"{count:,.0f}", 7, va="bottom", color=INK)
    below.locator_params(axis="y", nbins=2)
    label = "predicted probability of the same identity (%)"
    below.set(ylim=(0, 1.3 * count_B.max()), xlabel=label, ylabel="pairs")
    return figure, _calibrated(kept)


def _calibrated(kept: dict) -> str:
    """How good the probabilities are, beside those that know only the share of genuine pairs."""
    parts = []
    brier, ece, loss, prior = (number(kept, n) for n in ("brier", "ece", "log_loss", "prior"))
    if brier is not None:
        known = "" if prior is None else f"; {prior * (1 - prior):.3f} if every pair got the share"
        parts.append(f"Brier score (mean squared error) {brier:.3f}{known}")
    if loss is not None:
        parts.append(f"log loss {loss:.3f} nats")
    if ece is not None:
        parts.append(f"expected calibration error {100 * ece:.1f} points")
    unit = {"identity": "identities", "image": "images"}.get(str(kept.get("folded_by")))
    apart = f", judged on pairs of {unit} that the fit did not see" if unit else ""
    return (
        f"Fitted by {kept.get('kind')}{apart}. On the dashed line a pair said to be the same with "
        "70 % is so in 70 of 100 cases; below it the probabilities are too high. Bars: 95 % "
        f"intervals by the number of pairs, which is below. {'; '.join(parts)}."
    )
