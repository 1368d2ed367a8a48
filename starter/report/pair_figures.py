"""Scored pairs: curves, exact and thinned for drawing; ROC, DET, histograms, calibration.

Each figure takes what it draws and returns (figure, caption).

Shapes: P pairs, T points of the curve, G rates at which bands are given, R resamples, B bins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from starter.errors import UserError
from starter.metrics import evaluate, verification
from starter.metrics.intervals import percentile_interval, resampled_by, resampled_weights
from starter.metrics.verification import equal_error_rate, sort_scores
from starter.report import drawing
from starter.report.drawing import DASHED, INK, SOFT, Drawn, colour, new_axes, new_figure, short
from starter.report.read import number

POINTS = 300  # of a drawn curve, along each axis
GRID = 60  # false accept rates at which bands are given
RESAMPLES, LEAST = 200, 20
DRAWS = 30_000_000  # pairs over all resamples: 1 M pairs take 0.1 s a resample on one core
BINS = 60  # of a histogram, at most
RATES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)  # ticks of the DET axes
CALIBRATION_BINS = 10  # of equal width, as metrics.judge_calibration makes them


@dataclass(frozen=True, eq=False)
class Curve:
    """What is known of one set of scores. Rates are fractions."""

    name: str
    score_P: np.ndarray
    same_P: np.ndarray  # bool
    metrics: dict  # as metrics.evaluate gives them
    far_T: np.ndarray
    tar_T: np.ndarray
    grid_G: np.ndarray
    low_G: np.ndarray
    high_G: np.ndarray
    eer_interval: tuple[float, float] | None
    resamples: int
    resampled_by: str

    @property
    def eer(self) -> float:
        return self.metrics["eer"]


def measure(
    name: str,
    score_P: np.ndarray,
    same_P: np.ndarray,
    identity_P2: np.ndarray | None = None,
    *,
    resamples: int | None = None,
    seed: int = 0,
) -> Curve | str:
    """The curve of labelled scores, or why there is none (pairs of one kind, not finite).

    resamples: of the bands; by default as many as the number of pairs leaves time for; 0 for none.
    """
    score_P, same_P = np.asarray(score_P).ravel(), np.asarray(same_P).ravel().astype(bool)
    if score_P.shape != same_P.shape or not np.issubdtype(score_P.dtype, np.floating):
        return "its scores and labels do not fit together"
    try:
        metrics = evaluate(score_P, same_P)
    except UserError as error:
        return str(error)
    if resamples is None:
        resamples = int(np.clip(DRAWS // len(score_P), LEAST, RESAMPLES))
    order = sort_scores(score_P)
    whole = verification.roc(order, same_P)
    far_T, tar_T = whole.fpr_RT1[0], whole.tpr_RT1[0]
    impostor = metrics["impostor"]
    grid_G = np.geomspace(1 / impostor, 1, GRID) if impostor > 1 else np.ones(1)
    interval, low_G, high_G = None, np.zeros(0), np.zeros(0)
    if resamples:
        tar_GR, eer_R = _resampled(order, same_P, identity_P2, grid_G, resamples, seed)
        low_G, high_G = np.percentile(tar_GR, [2.5, 97.5], axis=1)
        interval = percentile_interval(eer_R)
    rows, by = thin(far_T, tar_T), resampled_by(identity_P2)
    bands = grid_G, low_G, high_G, interval, resamples, by
    return Curve(name, score_P, same_P, metrics, far_T[rows], tar_T[rows], *bands)


def _resampled(order, same_P, identity_P2, grid_G: np.ndarray, resamples: int, seed: int):
    """tar_GR, the TAR at the lowest threshold whose FAR is at most that of the grid, and eer_R."""
    columns, rates = [], []
    for weight_RP in resampled_weights(same_P, identity_P2, resamples, seed):
        for weight_1P in weight_RP[:, None]:  # one at a time: two million points are 16 MB each
            curve = verification.roc(order, same_P, weight_1P)
            # 1e-12: a grid point such as 3/10 must find the rate 0.3 that it was made for.
            at_G = np.searchsorted(curve.fpr_RT1[0], grid_G + 1e-12, side="right") - 1
            columns.append(curve.tpr_RT1[0][at_G])
            rates.append(equal_error_rate(curve)[0])
    return np.stack(columns, axis=1), np.array(rates)


def thin(far_T: np.ndarray, tar_T: np.ndarray) -> np.ndarray:
    """Rows of a curve that draw it: its corners, or points spread on both axes, exact ones."""
    turns = np.ones(len(far_T), bool)  # a point in the middle of a straight run draws nothing
    flat, upright = np.diff(tar_T) == 0, np.diff(far_T) == 0
    turns[1:-1] = ~((flat[1:] & flat[:-1]) | (upright[1:] & upright[:-1]))
    rows = np.flatnonzero(turns)
    if len(rows) <= 2 * POINTS:
        return rows
    kept = [np.array([0, len(far_T) - 1])]
    for rate_T in (far_T, 1 - tar_T[::-1]):
        least = rate_T[rate_T > 0].min(initial=1.0)
        places = np.concatenate([np.geomspace(least, 1, POINTS), np.linspace(0, 1, POINTS)])
        near = np.searchsorted(rate_T, places).clip(0, len(rate_T) - 1)
        kept.append(near if rate_T is far_T else len(far_T) - 1 - near)
    return np.unique(np.concatenate(kept))


def roc(curves: list[Curve], shown: Curve) -> Drawn:
    """TAR over FAR on a log axis, the EER and the TARs at the FARs that can be resolved."""
    ax = new_axes()
    least = 1 / shown.metrics["impostor"]
    _draw_curves(ax, curves, shown, lambda far: np.maximum(far, least / 2), lambda tar: 100 * tar)
    tar_at = {float(far): 100 * tar for far, tar in shown.metrics["tar_at_far"].items()}
    ax.plot(list(tar_at), list(tar_at.values()), "D", color=INK, markersize=3.5)
    drawing.log_scale(ax, "x")
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


def scores(curves: list[Curve], curve: Curve) -> Drawn:
    """Histograms of both kinds of pairs of a curve, each of area 1, with the threshold."""
    ax = new_axes()
    score_P, same_P = curve.score_P, curve.same_P
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
        drawing.write(below, x, count, f"{count:,.0f}", 7, va="bottom", color=INK)
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
