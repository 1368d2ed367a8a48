"""From embeddings to a result: scores, metrics, what is fitted, the submission.

Shapes: U images that are embedded, V of a set of pairs, P pairs, D embedding.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from starter.data import Catalog, resolve_root
from starter.inference.demo_answers import answer_demo
from starter.inference.fitted import save_fitted
from starter.inference.identify import find_alike, find_known, over_folds
from starter.inference.saved import Classes
from starter.metrics import cosine, evaluate
from starter.metrics.transductive import expand, rerank
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.submission import Answers
from starter.submission.handin import sample_path, write_submission

log = logging.getLogger(__name__)


def conclude(
    folder: RunFolder,
    recipe: Recipe,
    catalog: Catalog,
    items_U: np.ndarray,
    emb_UD: np.ndarray,
    classes: Classes,
    made_by: dict,
    head: dict,
) -> dict:
    """Scores and measures, and writes everything of verify/ and the submission.

    Args:
        made_by: what the numbers hold for; kept beside what is fitted.
        head: the first keys of the result.
    Returns:
        The result, also in verify/result.json.
    """
    from starter.files import write_json

    scores = score_pairs(catalog, items_U, emb_UD, recipe)
    folder.verify.mkdir(parents=True, exist_ok=True)
    for name, score_P in scores.items():
        np.save(folder.scores(name), score_P)
    result = head | {"images": len(items_U), "transductive": recipe.verify.transductive.on}
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
    answers = answers_of(catalog, scores.get("test"), classes, matches)
    result |= _hand_in(folder, recipe, answers)
    result |= answer_demo(folder, recipe)
    write_json(folder.result, result)
    return result


def answers_of(
    catalog: Catalog, score_P: np.ndarray | None, classes: Classes, matches: Sequence[str]
) -> Answers:
    """What a submission may ask for."""
    test_M, pairs = catalog.index("test"), catalog.pairs.get("test")
    pair_names = []
    if pairs is not None:
        pair_names = [
            (catalog.submission_name(a), catalog.submission_name(b))
            for a, b in zip(pairs.a_P, pairs.b_P, strict=True)
        ]
    return Answers(
        test_names=[catalog.submission_name(i) for i in test_M],
        class_of_test=[catalog.classes[k] for k in classes.of(test_M)] if len(test_M) else None,
        pair_names=pair_names,
        score_P=score_P,
        classes=catalog.classes,
        match_of_face=matches,
        pair_ids=None if pairs is None else pairs.text_P,
    )


def _hand_in(folder: RunFolder, recipe: Recipe, answers: Answers) -> dict:
    """Writes submission.csv, where there is anything to answer."""
    if not answers:
        log.info("nothing to submit: the data has no test images, test pairs or unknown faces")
        return {"submission": None}
    sample = (
        None if recipe.submission.sample is None else sample_path(recipe, resolve_root(recipe.data))
    )
    table = write_submission(folder.submission, sample, recipe.submission.format, answers)
    return {
        "submission": folder.submission.as_posix(),
        "rows": len(table.rows),
        "sample": sample and sample.as_posix(),
        "note": table.note,
    }


def score_pairs(
    catalog: Catalog, items_U: np.ndarray, emb_UD: np.ndarray, recipe: Recipe
) -> dict[str, np.ndarray]:
    """score_P float32 by the name of the pairs. With `verify.transductive`, the images of each set
    of pairs are each other's neighbours."""
    asked = recipe.verify.transductive
    if asked.on:
        log.warning(
            "verify.transductive: a pair's score depends on the other images of its file; read "
            "the competition's rules before this is handed in"
        )
    scores = {}
    for name, pairs in catalog.pairs.items():
        own_V, emb_VD = items_U, emb_UD
        if asked.on:
            own_V = np.unique(np.concatenate([pairs.a_P, pairs.b_P]))
            emb_VD = emb_UD[np.searchsorted(items_U, own_V)]
        a_P, b_P = np.searchsorted(own_V, pairs.a_P), np.searchsorted(own_V, pairs.b_P)
        if asked.query_expansion:
            emb_VD = expand(emb_VD, asked.query_expansion, asked.alpha)
        if asked.rerank:
            scores[name] = rerank(
                emb_VD, a_P, b_P, k1=asked.k1, k2=asked.k2, original=asked.original
            )
        else:
            scores[name] = cosine(emb_VD, a_P, b_P)
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
        folder.shown_scores(name).parent.mkdir(exist_ok=True)
        np.savez_compressed(folder.shown_scores(name), **kept)
