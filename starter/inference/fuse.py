"""fuse(runs, out): one result of several runs' embeddings and classes.

    <out>/recipe.yaml       the first run's, under the new name
    <out>/fusion.json       the runs, their weights and what each counts
    <out>/verify, submission.csv   as of a run

Shapes: S runs, U images, P pairs, D embedding.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from starter.data import Catalog, load_catalog
from starter.errors import UserError
from starter.inference.conclude import conclude
from starter.inference.fitted import check_threshold, fold_labelled
from starter.inference.saved import Classes, Embedded, check_parameters, embedded
from starter.inference.verify import open_run
from starter.metrics import (
    cosine,
    equal_shares,
    evaluate,
    fit_weights,
    fuse_embeddings,
    held_out_eer,
    mean_classes,
    shares,
)
from starter.recipe import load
from starter.recipe.load import to_yaml
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.runs.provenance import environment

log = logging.getLogger(__name__)

KINDS = ("mean", "weighted", "concat")


def fuse(
    runs: Sequence[str | Path],
    out: str | Path,
    kind: str = "mean",
    *,
    overrides: Sequence[str] = (),
    stage: str | None = None,
) -> dict:
    """Makes one result of several runs.

    Args:
        runs: run folders, or stages of them (runs/a/classify).
        out: the folder of the result: new, or an earlier fusion's.
        kind: mean of z-scored cosines, weighted mean with weights fitted on the validation pairs,
            or concat (plain mean of cosines).
        overrides, stage: of every run, as `verify`.
    Returns:
        The result, as `verify` gives it, with `fusion`: kind, members (run, stage, weights, tta,
        share), parameters, and of the validation pairs eer_of_each, and for weighted the weights
        and held_out_eer beside equal_eer.
    Raises:
        UserError: the runs are of other data, have too many parameters together, or `out` is a
            run; as `verify`.
    """
    folder = fresh_folder(out, runs, kind)
    members, recipe, catalog = open_members(runs, overrides, stage, folder)
    parameters = check_parameters(recipe, members)
    score_PS, same_P = _scores(members, catalog)
    share_S, told = _share_out(kind, len(members), score_PS, same_P, recipe, catalog)
    described = [
        {"run": m.folder.path.as_posix(), **m.made_by, "share": float(share)}
        for m, share in zip(members, share_S, strict=True)
    ]
    fusion = {"kind": kind, "members": described, "parameters": parameters, **told}
    _describe(folder, recipe, fusion)
    weights = hashlib.sha256("".join(m.weights for m in members).encode()).hexdigest()
    made_by = {"stage": None, "weights": weights, "fusion": fusion}
    head = {"run": folder.path.as_posix(), "stages": {}, **made_by}
    emb_UD = fuse_embeddings([m.emb_UD for m in members], share_S)
    classes = fuse_classes([m.classes for m in members], len(catalog.classes))
    np.savez(folder.embeddings(), index_U=members[0].items_U, emb_UD=emb_UD)
    return conclude(folder, recipe, catalog, members[0].items_U, emb_UD, classes, made_by, head)


def fresh_folder(out: str | Path, runs: Sequence[str | Path], kind: str) -> RunFolder:
    """The folder of a result: new, or an earlier result's of this sort. UserError otherwise."""
    if len(runs) < 2:
        raise UserError("a fusion needs two runs or more")
    folder = RunFolder(Path(out))
    if folder.recipe.is_file() and not folder.fusion.is_file():
        raise UserError(f"--out {out} holds a run or another sort of result; give another name")
    return folder


def open_members(
    runs: Sequence[str | Path], overrides: Sequence[str], stage: str | None, folder: RunFolder
) -> tuple[list[Embedded], Recipe, Catalog]:
    """Every run's embeddings; the first one's recipe under the new name; the data, one for all."""
    members: list[Embedded] = []
    first: Catalog | None = None
    for run in runs:
        own, recipe, own_stage = open_run(run, overrides)
        catalog = load_catalog(recipe.data)
        if first is None:
            check_threshold(recipe, catalog)
            first = catalog
        elif catalog.fingerprint() != first.fingerprint():
            raise UserError(
                f"{run} is of other data than {runs[0]} (names, sizes, labels or pairs differ): "
                "runs that are combined answer the same questions"
            )
        members.append(embedded(own, recipe, stage or own_stage, catalog))
    assert first is not None
    if len({m.weights for m in members}) < len(members):
        raise UserError("two of the runs have the same weights; name each once")
    return members, renamed(members[0].folder, overrides, folder), first


def renamed(first: RunFolder, overrides: Sequence[str], folder: RunFolder) -> Recipe:
    """The first run's recipe under the new folder's name. UserError where that is no name."""
    where = folder.path.resolve()
    changes = [*overrides, f'name="{where.name}"', f'runs="{folder.path.parent.as_posix()}"']
    return load(first.recipe, changes)


def fuse_classes(parts: Sequence[Classes], classes: int) -> Classes:
    """Classes of the highest mean probability; runs without class logits are left out where some
    have them, else the cosines with class means are averaged."""
    by_logits = any(part.by_logits for part in parts)
    taken = [part for part in parts if part.by_logits == by_logits]
    of = "probabilities" if by_logits else "cosines with class means"
    source = f"mean {of} of {len(taken)} of {len(parts)} runs"
    log.info("classes: %s", source)
    class_M = mean_classes([(part.class_MT, part.value_MT) for part in taken], classes)
    index_M = parts[0].index_M
    value_M1 = np.zeros((len(index_M), 1), np.float32)
    return Classes(source, index_M, class_M[:, None].astype(np.int32), value_M1, by_logits, {})


def _scores(
    members: Sequence[Embedded], catalog: Catalog
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Cosines of each run on the pairs that scale them: the labelled ones, else those to submit."""
    name = "val" if "val" in catalog.pairs else "test"
    pairs = catalog.pairs.get(name)
    if pairs is None:
        return None, None
    if name == "test":
        log.warning("no labelled pairs: cosines are scaled by those to submit")
    items_U = members[0].items_U
    a_P, b_P = np.searchsorted(items_U, pairs.a_P), np.searchsorted(items_U, pairs.b_P)
    score_PS = np.stack([cosine(m.emb_UD, a_P, b_P) for m in members], axis=1)
    return score_PS, pairs.same_P


def _share_out(
    kind: str,
    runs: int,
    score_PS: np.ndarray | None,
    same_P: np.ndarray | None,
    recipe: Recipe,
    catalog: Catalog,
) -> tuple[np.ndarray, dict]:
    """share_S, and what is told of it."""
    told: dict = {}
    if kind == "weighted" and same_P is None:
        raise UserError("--fusion weighted is fitted on labelled pairs, and this data has none")
    if kind == "concat" and score_PS is None:
        return equal_shares(runs), told
    if score_PS is None:
        raise UserError("there are no pairs to scale the runs' cosines by; take --fusion concat")
    if same_P is not None:
        told["eer_of_each"] = [evaluate(score_P, same_P)["eer"] for score_P in score_PS.T]
    if kind == "concat":
        return equal_shares(runs), told
    if kind == "mean":
        return shares(equal_shares(runs), score_PS), told
    assert kind == "weighted" and same_P is not None
    weight_S = fit_weights(score_PS, same_P)
    equal_P = score_PS @ shares(equal_shares(runs), score_PS)
    told |= {
        "weights": weight_S.tolist(),
        "held_out_eer": held_out_eer(score_PS, same_P, fold_labelled(recipe, catalog)),
        "equal_eer": evaluate(equal_P, same_P)["eer"],
    }
    if told["held_out_eer"] is not None and told["held_out_eer"] >= told["equal_eer"]:
        log.warning(
            "fitted weights do not beat equal ones on identities they were not fitted on "
            "(EER %.2f %% against %.2f %%): take --fusion mean",
            100 * told["held_out_eer"],
            100 * told["equal_eer"],
        )
    return shares(weight_S, score_PS), told


def _describe(folder: RunFolder, recipe: Recipe, fusion: dict) -> None:
    from starter.files import write_json

    folder.verify.mkdir(parents=True, exist_ok=True)
    write_json(folder.fusion, fusion)
    folder.recipe.write_text(to_yaml(recipe), encoding="utf-8")
    write_json(folder.environment, environment("none: embeddings were combined", 1))
    write_json(folder.summary, {"stages": {}, "best": None})
