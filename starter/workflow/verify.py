"""verify(run): embed each image once, score the pairs, write the submission.

Shapes: U images that are embedded, P pairs, D embedding.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from starter.data import Catalog
from starter.recipe import UserError, load
from starter.recipe.schema import Recipe
from starter.workflow.folder import RunFolder

log = logging.getLogger(__name__)


def verify(run: str | Path, *, overrides: Sequence[str] = (), stage: str | None = None) -> dict:
    """Scores a run's pairs and writes its submission.

    Args:
        run: a run folder.
        overrides: key=value over the run's recipe, e.g. submission.sample=...
        stage: embed with this stage; else `verify.stage`, else the run's best.
    Returns:
        The result, also in runs/<name>/verify/result.json: metrics as fractions.
    Raises:
        UserError: no finished stage, other classes, a damaged checkpoint, a sample that asks for
            what the run cannot answer; no submission is written then.
    """
    from starter.data import load_catalog
    from starter.training.checkpoint import write_json
    from starter.workflow.fitted import check_threshold, save_fitted
    from starter.workflow.handin import answer_demo, write_submission
    from starter.workflow.identified import find_alike, find_known, over_folds
    from starter.workflow.trained import open_stage

    folder, recipe = open_run(run, overrides)
    catalog = load_catalog(recipe.data)
    check_threshold(recipe, catalog)
    trained = open_stage(folder, recipe, stage, catalog)
    log.info("embedding with stage %s (update %d)", trained.stage, trained.checkpoint.step)
    items_U = _wanted(catalog)
    emb_UD = trained.embed(items_U)
    folder.verify.mkdir(exist_ok=True)
    np.savez(folder.verify / "embeddings.npz", index_U=items_U, emb_UD=emb_UD)
    result: dict = {
        "run": folder.path.as_posix(),
        "stage": trained.stage,
        "weights": trained.checkpoint.weights_hash,
        "stages": folder.read_summary()["stages"],
        "images": len(items_U),
    }
    scores = _score_pairs(folder, catalog, items_U, emb_UD)
    result |= _measure(recipe, catalog, scores)
    result |= over_folds(catalog, scores, recipe.seed)
    result |= find_alike(catalog, items_U, emb_UD)
    identification, matches = find_known(catalog, items_U, emb_UD)
    result |= identification
    _keep_for_report(folder, catalog, scores)
    if "val" in result:
        made_by = {"stage": trained.stage, "weights": trained.checkpoint.weights_hash,
                   "tta": list(trained.options.tta)}  # fmt: skip
        result |= save_fitted(folder, recipe, catalog, scores["val"], made_by)
    classes = trained.classify(items_U, emb_UD)
    result["classes_from"] = classes.source
    result |= _accuracies(catalog, classes)
    result |= write_submission(folder, recipe, catalog, scores.get("test"), classes, matches)
    result |= answer_demo(folder, recipe)
    write_json(folder.verify / "result.json", result)
    return result


def open_run(run: str | Path, overrides: Sequence[str]) -> tuple[RunFolder, Recipe]:
    """A run folder and its recipe, with overrides."""
    folder = RunFolder.existing(run)
    return folder, load(folder.path / "recipe.yaml", overrides)


def verify_pair(
    run: str | Path, a: str | Path, b: str | Path, *, overrides: Sequence[str] = ()
) -> dict:
    """Are these two pictures the same identity?

    Returns:
        score (cosine), threshold (fitted at the EER of the labelled pairs), same (bool), stage.
    Raises:
        UserError: a picture cannot be read, or there are no labelled pairs to fit a threshold on.
    """
    from starter.training.checkpoint import read_json
    from starter.verification import cosine
    from starter.workflow.trained import open_stage_without_data

    folder, recipe = open_run(run, overrides)
    if not (folder.verify / "threshold.json").is_file():
        raise UserError(
            f"{folder.verify} has no threshold.json yet; run: python verify.py {run} "
            "(it is fitted on labelled pairs)"
        )
    threshold = read_json(folder.verify / "threshold.json")
    trained = open_stage_without_data(folder, recipe, threshold["stage"])
    if trained.checkpoint.weights_hash != threshold["weights"]:
        raise UserError(
            f"{folder.verify / 'threshold.json'} was fitted with other weights; run: "
            f"python verify.py {run}"
        )
    tta = tuple(threshold.get("tta", trained.options.tta))  # as the threshold was fitted
    trained.options = replace(trained.options, tta=tta)
    emb_2D = trained.embed_files([Path(a), Path(b)])
    score = float(cosine(emb_2D, np.array([0]), np.array([1]))[0])
    return {
        "score": score,
        "threshold": threshold["eer"],
        "same": score >= threshold["eer"],
        "stage": trained.stage,
    }


def _wanted(catalog: Catalog) -> np.ndarray:
    """Every image that a score or a class is asked of, once: items_U, ascending."""
    from starter.workflow.identified import retrieved

    parts = [catalog.index("dev"), catalog.index("test"), retrieved(catalog)]
    for pairs in catalog.pairs.values():
        parts += [pairs.a_P, pairs.b_P]
    if catalog.gallery is not None:
        parts += [catalog.gallery.known_G, catalog.gallery.dev_Q, catalog.gallery.test_T]
    return np.unique(np.concatenate(parts))


def _score_pairs(
    folder: RunFolder, catalog: Catalog, items_U: np.ndarray, emb_UD: np.ndarray
) -> dict[str, np.ndarray]:
    """score_P float32 by the name of the pairs, each also saved as <name>_scores.npy."""
    from starter.verification import cosine

    scores = {}
    for name, pairs in catalog.pairs.items():
        a_P, b_P = np.searchsorted(items_U, pairs.a_P), np.searchsorted(items_U, pairs.b_P)
        scores[name] = cosine(emb_UD, a_P, b_P)
        np.save(folder.verify / f"{name}_scores.npy", scores[name])
    return scores


def _measure(recipe: Recipe, catalog: Catalog, scores: dict[str, np.ndarray]) -> dict:
    """Metrics with intervals of every labelled set of pairs."""
    from starter.verification import evaluate

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


def _accuracies(catalog: Catalog, classes) -> dict[str, float]:
    """{"dev_accuracy", "test_accuracy"}: of the splits whose classes are known."""
    found = {}
    for split in ("dev", "test"):
        index_M = catalog.index(split)
        if len(index_M) and (catalog.label_N[index_M] >= 0).all():
            predicted_M = classes.of(index_M)
            found[f"{split}_accuracy"] = float((predicted_M == catalog.label_N[index_M]).mean())
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
