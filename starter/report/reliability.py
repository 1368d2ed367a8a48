"""The calibration figure: what probabilities of pairs said, and what came of them.

Shapes: B bins.
"""

import numpy as np

from starter.report.plots import Drawn
from starter.report.read import number
from starter.report.style import INK, SOFT, colour, new_figure

BINS = 10  # of equal width, as verification.calibrate makes them
Z = 1.96  # of a 95 % interval


def reliability(kept: dict) -> Drawn | None:
    """Observed over predicted share of genuine pairs, and how many pairs each bin has.

    kept: verify/calibration.json: bins of {"predicted", "observed", "count"}, brier, ece,
    log_loss, prior, kind, folded_by. None where the pairs were too few for bins.
    """
    bins = kept.get("bins")
    if not bins:
        return None
    said_B, seen_B, count_B = (
        np.array([float(one[name]) for one in bins]) for name in ("predicted", "observed", "count")
    )
    figure = new_figure(height=4.2)
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    ax.plot([0, 100], [0, 100], color=SOFT, linewidth=0.9, linestyle=(0, (3, 3)))
    low_B, high_B = wilson(seen_B, count_B)
    ax.vlines(100 * said_B, 100 * low_B, 100 * high_B, color=colour(0), linewidth=1.4)
    ax.plot(100 * said_B, 100 * seen_B, "o-", color=colour(0), markersize=5, linewidth=1)
    ax.set_ylabel("observed (%)")
    ax.set_ylim(-4, 104)
    ax.set_xlim(-4, 104)
    middle_B = 100 / BINS * (np.minimum(said_B * BINS, BINS - 1).astype(int) + 0.5)
    below.bar(middle_B, count_B, width=90 / BINS, color=colour(0), alpha=0.5)
    for x, count in zip(middle_B, count_B, strict=True):
        below.text(x, count, f"{count:,.0f}", ha="center", va="bottom", fontsize=7, color=INK)
    below.set_ylim(0, 1.3 * count_B.max())
    below.locator_params(axis="y", nbins=2)
    below.set_xlabel("predicted probability of the same identity (%)")
    below.set_ylabel("pairs")
    return figure, caption(kept)


def wilson(seen_B: np.ndarray, count_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a share seen_B of count_B (Wilson 1927), sound near 0 and 1."""
    middle_B = (seen_B + Z**2 / (2 * count_B)) / (1 + Z**2 / count_B)
    spread_B = np.sqrt(seen_B * (1 - seen_B) / count_B + Z**2 / (4 * count_B**2))
    spread_B = Z * spread_B / (1 + Z**2 / count_B)
    return middle_B - spread_B, middle_B + spread_B


def caption(kept: dict) -> str:
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
    kind, by = kept.get("kind"), kept.get("folded_by")
    how = f"Fitted by {kind}" if kind else "Fitted"
    seen = {"identity": "identities", "image": "images"}.get(str(by))
    of = f", judged on pairs of {seen} that the fit did not see" if seen else ""
    return (
        f"{how}{of}. On the dashed line a pair said to be the same with 70 % is so in 70 of 100 "
        f"cases; below it the probabilities are too high. Bars: 95 % intervals by the number of "
        f"pairs, which is below. {'; '.join(parts)}."
    )
