"""From embeddings to a Result, and to what a submission is written from.

Shapes: P pairs, M images of a split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from starter import files
from starter.data import Catalog
from starter.inference.embedded import Classes, Embedded
from starter.inference.score import (
    identify_probes,
    measure_pairs,
    measure_retrieval,
    over_folds,
    score_pairs,
)
from starter.metrics import (
    fit_calibration,
    fit_decision,
    fold_pairs,
    judge_calibration,
    require_resolved,
)
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.runs.records import StageSummary
from starter.runs.result import Calibration, Decision, Result, Source, Threshold


@dataclass(frozen=True)
class Measured:
    """A Result that has no submission yet, and what the submission says.

    scores: score_P float32 by the name of the pairs. match_of_face: of each unlabelled face.
    """

    result: Result
    scores: dict[str, np.ndarray]
    classes: Classes
    match_of_face: tuple[str, ...]


def measure(
    folder: RunFolder,
    recipe: Recipe,
    catalog: Catalog,
    embedded: Embedded,
    stages: Mapping[str, StageSummary],
) -> Measured:
    """Scores, measures and fits; writes the scores, the threshold and the calibration.

    Args:
        stages: summaries of the run's stages; none of a fusion.
    """
    scores = score_pairs(catalog, embedded, recipe)
    _keep_scores(folder, catalog, scores)
    pairs = measure_pairs(catalog, scores, recipe)
    identification, match_of_face = identify_probes(catalog, embedded)
    source, decision, reliability = embedded.source, None, None
    if "val" in pairs:
        threshold, calibration = fit_labelled(recipe, catalog, scores["val"], source)
        threshold.write(folder.threshold)
        calibration.write(folder.calibration)
        decision, reliability = threshold.decision, calibration.reliability
    dev, test = (_accuracy(catalog, embedded.classes, split) for split in ("dev", "test"))
    result = Result(
        run=folder.path.as_posix(),
        stage=source.stage,
        weights=source.weights,
        tta=source.tta,
        fusion=source.fusion,
        stages=dict(stages),
        images=len(embedded.items_U),
        transductive=recipe.verify.transductive.on,
        val=pairs.get("val"),
        held=pairs.get("held"),
        test=pairs.get("test"),
        folds=over_folds(catalog, scores, recipe.seed),
        retrieval=measure_retrieval(catalog, embedded),
        identification=identification,
        decision=decision,
        calibration=reliability,
        classes_from=embedded.classes.source,
        dev_accuracy=dev,
        dev_images=None if dev is None else len(catalog.index("dev")),
        test_accuracy=test,
        test_images=None if test is None else len(catalog.index("test")),
    )
    return Measured(result, scores, embedded.classes, match_of_face)


def _accuracy(catalog: Catalog, classes: Classes, split: str) -> float | None:
    """Of the split's images; None where there are none or their classes are not known."""
    index_M = catalog.index(split)
    label_M = catalog.label_N[index_M]
    if not len(index_M) or (label_M < 0).any():
        return None
    return float((classes.of(index_M) == label_M).mean())


def _keep_scores(folder: RunFolder, catalog: Catalog, scores: dict[str, np.ndarray]) -> None:
    """All scores; for the report, those of labelled pairs with what they should say."""
    folder.verify.mkdir(parents=True, exist_ok=True)
    for name, pairs in catalog.pairs.items():
        with files.replacing(folder.scores(name)) as file:
            np.save(file, scores[name])
        if pairs.same_P is None:
            continue
        kept: dict[str, Any] = {"score": scores[name], "same": pairs.same_P}
        identity_P2 = catalog.identities(pairs)
        if identity_P2 is not None:
            kept["identity"] = identity_P2
        folder.shown_scores(name).parent.mkdir(exist_ok=True)
        np.savez_compressed(folder.shown_scores(name), **kept)


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
