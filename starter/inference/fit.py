"""What is fitted on the labelled pairs: the threshold of a decision, and probabilities.

Shapes: P pairs.
"""

import numpy as np

from starter.data import Catalog
from starter.metrics import (
    fit_calibration,
    fit_decision,
    fold_pairs,
    judge_calibration,
    require_resolved,
)
from starter.recipe.schema import Recipe
from starter.runs.result import Calibration, Decision, Source, Threshold


def check_threshold(recipe: Recipe, catalog: Catalog) -> None:
    """Before anything is embedded: UserError for a FAR that the labelled pairs cannot resolve."""
    section, pairs = recipe.verify.threshold, catalog.pairs.get("val")
    if section.at == "far" and pairs is not None and pairs.same_P is not None:
        require_resolved(int((~pairs.same_P).sum()), section.far)


def fold_labelled(recipe: Recipe, catalog: Catalog) -> np.ndarray:
    """fold_P2 of the validation pairs: by identity, by image where identities are not known."""
    pairs = catalog.pairs["val"]
    identity_P2 = catalog.identities(pairs)
    if identity_P2 is None or identity_P2.min() < 0:
        identity_P2 = np.stack([pairs.a_P, pairs.b_P], axis=1)
    return fold_pairs(identity_P2, seed=recipe.seed)


def fit_labelled(
    recipe: Recipe, catalog: Catalog, score_P: np.ndarray, source: Source
) -> tuple[Threshold, Calibration]:
    """Fits both on the scores of the validation pairs; source: what these came of."""
    pairs, section = catalog.pairs["val"], recipe.verify
    assert pairs.same_P is not None
    identity_P2, fold_P2 = catalog.identities(pairs), fold_labelled(recipe, catalog)
    decision = fit_decision(
        score_P,
        pairs.same_P,
        section.threshold.far if section.threshold.at == "far" else None,
        fold_P2=fold_P2,
        resamples=section.resamples,
        identity_P2=identity_P2,
        seed=recipe.seed,
    )
    threshold = Threshold(
        decision=Decision.model_validate(decision),
        source=source,
        transductive=section.transductive.on,
    )
    fitted = fit_calibration(score_P, pairs.same_P, section.calibration)
    judged = judge_calibration(score_P, pairs.same_P, fold_P2, section.calibration)
    by_identity = identity_P2 is not None and identity_P2.min() >= 0
    folded_by = "identity" if by_identity else "image"
    values = {**fitted, **judged, "folded_by": folded_by, "source": source}
    return threshold, Calibration.model_validate(values)
