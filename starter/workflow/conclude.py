"""From embeddings to a result: scores, metrics, what is fitted, the submission.

Shapes: U images that are embedded, P pairs, D embedding.
"""

from typing import Any

import numpy as np

from starter.data import Catalog
from starter.recipe.schema import Recipe
from starter.verification import cosine, evaluate
from starter.workflow.embedded import Classes
from starter.workflow.fitted import save_fitted
from starter.workflow.folder import RunFolder
from starter.workflow.handin import answer_demo, write_submission
from starter.workflow.identified import find_alike, find_known, over_folds


def conclude(
    folder: RunFolder, recipe: Recipe, catalog: Catalog, items_U: np.ndarray, emb_UD: np.ndarray,
    classes: Classes, made_by: dict, head: dict,
) -> dict:  # fmt: skip
    """Scores and measures, and writes everything of verify/ and the submission.

    Args:
        made_by: what the numbers hold for; kept beside what is fitted.
        head: the first keys of the result.
    Returns:
        The result, also in verify/result.json.
    """
    from starter.training.checkpoint import write_json

    scores = score_pairs(catalog, items_U, emb_UD, recipe)
    folder.verify.mkdir(parents=True, exist_ok=True)
    for name, score_P in scores.items():
        np.save(folder.verify / f"{name}_scores.npy", score_P)
    result = head | {"images": len(items_U)}
    result |= _measure(recipe, catalog, scores)
    result |= over_folds(catalog, scores, recipe.seed)
    result |= find_alike(catalog, items_U, emb_UD)
    identification, matches = find_known(catalog, items_U, emb_UD)
    result |= identification
    _keep_for_report(folder, catalog, scores)
    if "val" in result:
        result |= save_fitted(folder, recipe, catalog, scores["val"], made_by)
    result["classes_from"] = classes.source
    result |= _accuracies(catalog, classes)
    result |= write_submission(folder, recipe, catalog, scores.get("test"), classes, matches)
    result |= answer_demo(folder, recipe)
    write_json(folder.verify / "result.json", result)
    return result


def score_pairs(
    catalog: Catalog, items_U: np.ndarray, emb_UD: np.ndarray, recipe: Recipe
) -> dict[str, np.ndarray]:
    """score_P float32 by the name of the pairs."""
    scores = {}
    for name, pairs in catalog.pairs.items():
        a_P, b_P = np.searchsorted(items_U, pairs.a_P), np.searchsorted(items_U, pairs.b_P)
        scores[name] = cosine(emb_UD, a_P, b_P)
    return scores


def _measure(recipe: Recipe, catalog: Catalog, scores: dict[str, np.ndarray]) -> dict:
    """Metrics with intervals of every labelled set of pairs."""
    result = {}
    for name, pairs in catalog.pairs.items():
        if pairs.same_P is None:
            continue
        result[name] = evaluate(
            scores[name],
            pairs.same_P,
            resamples=recipe.verify.resamples,
            identity_P2=catalog.identities(pairs),
            seed=recipe.seed,
        )
    return result


def _accuracies(catalog: Catalog, classes: Classes) -> dict[str, float]:
    """dev_accuracy and dev_images, and of test the same: of the splits whose classes are known."""
    found: dict[str, float] = {}
    for split in ("dev", "test"):
        index_M = catalog.index(split)
        if len(index_M) and (catalog.label_N[index_M] >= 0).all():
            predicted_M = classes.of(index_M)
            found[f"{split}_accuracy"] = float((predicted_M == catalog.label_N[index_M]).mean())
            found[f"{split}_images"] = len(index_M)
    return found


def _keep_for_report(folder: RunFolder, catalog: Catalog, scores: dict[str, np.ndarray]) -> None:
    """shown/<name>.npz: scores of labelled pairs with what they should say."""
    for name, pairs in catalog.pairs.items():
        if pairs.same_P is None:
            continue
        kept: dict[str, Any] = {"score": scores[name], "same": pairs.same_P}
        identity_P2 = catalog.identities(pairs)
        if identity_P2 is not None:
            kept["identity"] = identity_P2
        (folder.verify / "shown").mkdir(exist_ok=True)
        np.savez_compressed(folder.verify / "shown" / f"{name}.npz", **kept)
