"""verify_pair(run, a, b): are these two pictures the same identity?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from starter.errors import UserError
from starter.recipe import load
from starter.runs.folder import RunFolder


def verify_pair(
    run: str | Path, a: str | Path, b: str | Path, *, overrides: Sequence[str] = ()
) -> dict:
    """Are these two pictures the same identity? Embedded as the threshold was fitted: same stage,
    same weights, same views; for a fusion, by every run of it.

    Returns:
        score (cosine), threshold (fitted on the labelled pairs, as verify.threshold said), same
        (bool), probability (where genuine pairs are as frequent as among the labelled ones),
        log_likelihood_ratio (natural; whatever their frequency), stage.
    Raises:
        UserError: a picture cannot be read, or there are no labelled pairs to fit a threshold on.
    """
    from starter.files import read_json
    from starter.metrics import cosine, log_likelihood_ratio, probability

    folder = RunFolder.existing(run)
    again = f"run: python verify.py {run}"
    if not (folder.threshold).is_file():
        raise UserError(
            f"{folder.verify} has no threshold.json yet; {again} (it is fitted on labelled pairs)"
        )
    kept = read_json(folder.threshold)
    if "decision" not in kept:
        raise UserError(f"{folder.verify / 'threshold.json'} is of an earlier version; {again}")
    if kept.get("transductive"):
        raise UserError(
            f"{folder.verify / 'threshold.json'} is of verify.transductive, which two pictures "
            f"alone do not have; {again} without it"
        )
    paths = [Path(a), Path(b)]
    fusion = kept.get("fusion")
    emb_2D = (
        _embed_by_all(fusion, kept, paths, overrides, again)
        if fusion
        else _embed_as_fitted(folder, kept, paths, overrides, again)
    )
    score_1 = cosine(emb_2D, np.array([0]), np.array([1]))
    calibration = read_json(folder.calibration)
    threshold = kept["decision"]["threshold"]
    return {
        "score": float(score_1[0]),
        "threshold": threshold,
        "same": float(score_1[0]) >= threshold,
        "probability": float(probability(calibration, score_1)[0]),
        "log_likelihood_ratio": float(log_likelihood_ratio(calibration, score_1)[0]),
        "stage": kept["stage"],
    }


def _embed_as_fitted(
    folder: RunFolder, kept: dict, paths: list[Path], overrides: Sequence[str], again: str
) -> np.ndarray:
    from starter.inference.open_stage import open_stage_without_data

    recipe = load(folder.recipe, overrides)
    trained = open_stage_without_data(folder, recipe, kept["stage"])
    if trained.checkpoint.weights_hash != kept["weights"]:
        place = folder.threshold
        raise UserError(f"{place} was fitted with other weights of {folder.path}; {again}")
    tta = tuple(kept.get("tta", trained.options.tta))
    trained.options = replace(trained.options, tta=tta)
    return trained.embed_files(paths)


def _embed_by_all(
    fusion: dict, kept: dict, paths: list[Path], overrides: Sequence[str], again: str
) -> np.ndarray:
    from starter.metrics import fuse_embeddings

    embs = [
        _embed_as_fitted(RunFolder.existing(member["run"]), member, paths, overrides, again)
        for member in fusion["members"]
    ]
    return fuse_embeddings(embs, np.array([member["share"] for member in fusion["members"]]))
