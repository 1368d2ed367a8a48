"""ROC, bands and the numbers on them: exact, and thinned for drawing.

Shapes: P pairs, T points of the curve, G rates at which bands are given, R resamples.
"""

from dataclasses import dataclass

import numpy as np

from starter.errors import UserError
from starter.metrics import evaluate
from starter.metrics.intervals import percentile_interval, resampled_by, resampled_weights
from starter.metrics.verification import equal_error_rate, roc, sort_scores

POINTS = 300  # of a drawn curve, along each axis
GRID = 60  # false accept rates at which bands are given
RESAMPLES, LEAST = 200, 20
DRAWS = 30_000_000  # pairs over all resamples: 1 M pairs take 0.1 s a resample on one core


@dataclass(frozen=True, eq=False)
class Curve:
    """What is known of one set of scores. Rates are fractions."""

    name: str
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
    if identity_P2 is not None and identity_P2.shape != (len(score_P), 2):
        identity_P2 = None
    try:
        metrics = evaluate(score_P, same_P)
    except UserError as error:
        return str(error)
    if resamples is None:
        resamples = int(np.clip(DRAWS // len(score_P), LEAST, RESAMPLES))
    order = sort_scores(score_P)
    whole = roc(order, same_P)
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
    return Curve(name, metrics, far_T[rows], tar_T[rows], *bands)


def _resampled(order, same_P, identity_P2, grid_G: np.ndarray, resamples: int, seed: int):
    """tar_GR, the TAR at the lowest threshold whose FAR is at most that of the grid, and eer_R."""
    columns, rates = [], []
    for weight_RP in resampled_weights(same_P, identity_P2, resamples, seed):
        for weight_1P in weight_RP[:, None]:  # one at a time: two million points are 16 MB each
            curve = roc(order, same_P, weight_1P)
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
