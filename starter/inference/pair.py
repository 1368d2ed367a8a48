"""Are these two pictures the same identity?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from starter.errors import UserError
from starter.inference.open_stage import open_stage
from starter.metrics import cosine, fuse_embeddings, log_likelihood_ratio, probability
from starter.recipe import load
from starter.runs.folder import RunFolder
from starter.runs.result import Calibration, Member, PairAnswer, Source, Threshold


def verify_pair(
    run: str | Path,
    a: str | Path,
    b: str | Path,
    *,
    overrides: Sequence[str] = (),
    trust: bool = False,
) -> PairAnswer:
    """Compares two pictures as the threshold was fitted: with the same stage, weights and views;
    for a fusion, by every run of it.

    Raises:
        UserError: a picture cannot be read, or there are no labelled pairs to fit a threshold on.
    """
    folder = RunFolder.existing(run)
    again = f"run: python verify.py {run}"
    kept = Threshold.find(folder.threshold)
    if kept is None:
        raise UserError(
            f"{folder.verify} has no threshold.json yet; {again} (it is fitted on labelled pairs)"
        )
    if kept.transductive:
        raise UserError(
            f"{folder.threshold} is of verify.transductive, which two pictures alone do not have; "
            f"{again} without it"
        )
    paths, fusion = [Path(a), Path(b)], kept.source.fusion
    if fusion is None:
        emb_2D = _embed_as_fitted(folder, kept.source, paths, overrides, again, trust)
    else:
        embs = [
            _embed_as_fitted(RunFolder.existing(m.run), m, paths, overrides, again, trust)
            for m in fusion.members
        ]
        emb_2D = fuse_embeddings(embs, np.array([m.share for m in fusion.members]))
    score_1 = cosine(emb_2D, np.array([0]), np.array([1]))
    calibration = Calibration.read(folder.calibration).model_dump()
    return PairAnswer(
        score=float(score_1[0]),
        threshold=kept.decision.threshold,
        same=float(score_1[0]) >= kept.decision.threshold,
        probability=float(probability(calibration, score_1)[0]),
        log_likelihood_ratio=float(log_likelihood_ratio(calibration, score_1)[0]),
        stage=kept.source.stage,
    )


def _embed_as_fitted(
    folder: RunFolder,
    source: Source | Member,
    paths: list[Path],
    overrides: Sequence[str],
    again: str,
    trust: bool,
) -> np.ndarray:
    assert source.stage is not None, "of a run"
    trained = open_stage(folder, load(folder.recipe, overrides), source.stage, trust=trust)
    if trained.checkpoint.weights_hash != source.weights:
        raise UserError(f"{folder.threshold} was fitted with other weights of {folder}; {again}")
    trained = replace(trained, options=replace(trained.options, tta=source.tta))
    return trained.embed_files(paths)
