"""What is fitted on the labelled pairs: the threshold of a decision, and probabilities.

    verify/threshold.json     where to say "same", and the weights it holds for
    verify/calibration.json   score -> probability, and how good it is

Shapes: P pairs.
"""

import logging

import numpy as np

from starter.data import Catalog
from starter.metrics import (
    evaluate,
    fit_calibration,
    fit_decision,
    fold_pairs,
    judge_calibration,
    require_resolved,
)
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder

log = logging.getLogger(__name__)


def check_threshold(recipe: Recipe, catalog: Catalog) -> None:
    """Before anything is embedded: UserError for a FAR that the labelled pairs cannot resolve."""
    asked, pairs = recipe.verify.threshold, catalog.pairs.get("val")
    if asked.at == "far" and pairs is not None and pairs.same_P is not None:
        require_resolved(int((~pairs.same_P).sum()), asked.far)


def fold_labelled(recipe: Recipe, catalog: Catalog) -> np.ndarray:
    """fold_P2 of the validation pairs: by identity, by image where identities are not known."""
    pairs = catalog.pairs["val"]
    identity_P2 = catalog.identities(pairs)
    if identity_P2 is None or identity_P2.min() < 0:
        identity_P2 = np.stack([pairs.a_P, pairs.b_P], axis=1)
    return fold_pairs(identity_P2, seed=recipe.seed)


def save_fitted(
    folder: RunFolder, recipe: Recipe, catalog: Catalog, score_P: np.ndarray, made_by: dict
) -> dict:
    """Fits both on the validation pairs and writes both files.

    threshold.json: eer and accuracy (thresholds on the score), decision (as
    `verification.fit_decision`), and `made_by`.
    calibration.json: kind, prior (share of genuine pairs), pairs; slope and intercept, or score
    and probability (lists); cross-fitted, so of pairs whose identities the fit did not see: bins
    ([{"predicted", "observed", "count"}, ...]), brier, log_loss (nats), ece; folded_by ("identity"
    or "image"); and `made_by`. The cross-fitted keys are absent where pairs are too few.

    Args:
        made_by: what the scores came of (stage, weights, tta), kept beside the numbers.
    Returns:
        {"decision", "calibration"} for the result: without bins and lists.
    """
    from starter.files import write_json

    pairs, asked = catalog.pairs["val"], recipe.verify
    assert pairs.same_P is not None
    identity_P2, fold_P2 = catalog.identities(pairs), fold_labelled(recipe, catalog)
    at = evaluate(score_P, pairs.same_P)["thresholds"]
    decision = fit_decision(
        score_P,
        pairs.same_P,
        asked.threshold.far if asked.threshold.at == "far" else None,
        fold_P2=fold_P2,
        resamples=asked.resamples,
        identity_P2=identity_P2,
        seed=recipe.seed,
    )
    made_by = made_by | {"transductive": asked.transductive.on}
    write_json(folder.threshold, {**at, "decision": decision, **made_by})
    calibration = fit_calibration(score_P, pairs.same_P, asked.calibration)
    judged = judge_calibration(score_P, pairs.same_P, fold_P2, asked.calibration)
    by = "image" if identity_P2 is None or identity_P2.min() < 0 else "identity"
    calibration |= {**judged, "folded_by": by}
    write_json(folder.calibration, {**calibration, **made_by})
    told = ("kind", "prior", "brier", "log_loss", "ece", "folded_by")
    return {
        "decision": decision,
        "calibration": {key: calibration[key] for key in told if key in calibration},
    }
