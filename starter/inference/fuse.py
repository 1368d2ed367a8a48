"""Several runs' embeddings and classes made into one.

Shapes: S runs, U images, P pairs, D embedding.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from starter.data import Catalog, load_catalog
from starter.errors import UserError
from starter.inference.embedded import Classes, Embedded, check_parameters
from starter.inference.measure import check_threshold, fold_labelled
from starter.inference.open_stage import embed_run, open_run
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
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.runs.result import Fusion, Member, Source

log = logging.getLogger(__name__)

Kind = Literal["mean", "weighted", "concat"]


class Fused(NamedTuple):
    """The result's folder, the first run's recipe under its name, the data of all runs, and what
    they say together."""

    folder: RunFolder
    recipe: Recipe
    catalog: Catalog
    embedded: Embedded


class Shares(NamedTuple):
    """What each run's cosine counts, and what was measured for it on the labelled pairs."""

    share_S: np.ndarray
    eer_of_each: tuple[float, ...] | None = None
    weights: tuple[float, ...] | None = None
    held_out_eer: float | None = None
    equal_eer: float | None = None


def fuse_runs(
    runs: Sequence[str | Path],
    out: str | Path,
    kind: Kind,
    overrides: Sequence[str] = (),
    stage: str | None = None,
    trust: bool = False,
) -> Fused:
    """Embeds with every run and combines.

    Raises:
        UserError: the runs are of other data, have too many parameters together, or `out` is a
            run; as `open_run` and `embed_run`.
    """
    if len(runs) < 2:
        raise UserError("a fusion needs two runs or more")
    folder = RunFolder(Path(out))
    if folder.recipe.is_file() and not folder.fusion.is_file():
        raise UserError(f"--out {out} holds a run; give another name")
    opened = [open_run(run, overrides, stage) for run in runs]
    catalog = _same_data(runs, [recipe for _, recipe, _ in opened])
    check_threshold(opened[0][1], catalog)
    members = [embed_run(*run, catalog, trust=trust) for run in opened]
    if len({member.source.weights for member in members}) < len(members):
        raise UserError("two of the runs have the same weights; name each once")
    changes = [*overrides, f'name="{folder.name}"', f'runs="{folder.path.parent.as_posix()}"']
    recipe = load(opened[0][0].recipe, changes)
    networks = tuple(network for member in members for network in member.networks)
    parameters = check_parameters(recipe, networks)
    shared = share_out(kind, members, catalog, recipe)
    described = [
        Member(
            run=run.path.as_posix(),
            stage=used,
            weights=member.source.weights,
            tta=member.source.tta,
            share=float(share),
        )
        for (run, _, used), member, share in zip(opened, members, shared.share_S, strict=True)
    ]
    measured = {name: value for name, value in shared._asdict().items() if name != "share_S"}
    fusion = Fusion(kind=kind, members=tuple(described), parameters=parameters, **measured)
    weights = hashlib.sha256("".join(m.weights for m in described).encode()).hexdigest()
    source = Source(stage=None, weights=weights, tta=(), fusion=fusion)
    emb_UD = fuse_embeddings([member.emb_UD for member in members], shared.share_S)
    classes = fuse_classes([member.classes for member in members], len(catalog.classes))
    embedded = Embedded(source, networks, members[0].items_U, emb_UD, classes)
    return Fused(folder, recipe, catalog, embedded)


def _same_data(runs: Sequence[str | Path], recipes: Sequence[Recipe]) -> Catalog:
    first = load_catalog(recipes[0].data)
    for run, recipe in zip(runs[1:], recipes[1:], strict=True):
        if load_catalog(recipe.data).fingerprint() != first.fingerprint():
            raise UserError(
                f"{run} is of other data than {runs[0]} (names, sizes, labels or pairs differ): "
                "runs that are combined answer the same questions"
            )
    return first


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
    return Classes(source, index_M, class_M[:, None].astype(np.int32), value_M1, by_logits)


def share_out(kind: Kind, members: Sequence[Embedded], catalog: Catalog, recipe: Recipe) -> Shares:
    """What each run counts: by the labelled pairs, else by those to submit.

    Raises:
        UserError: there are no pairs that `kind` needs.
    """
    name = "val" if "val" in catalog.pairs else "test"
    pairs, equal_S = catalog.pairs.get(name), equal_shares(len(members))
    same_P = None if pairs is None else pairs.same_P
    if kind == "weighted" and same_P is None:
        raise UserError("--fusion weighted is fitted on labelled pairs, and this data has none")
    if pairs is None:
        if kind == "concat":
            return Shares(equal_S)
        raise UserError("there are no pairs to scale the runs' cosines by; take --fusion concat")
    if same_P is None:
        log.warning("no labelled pairs: cosines are scaled by those to submit")
    a_P, b_P = (np.searchsorted(members[0].items_U, items) for items in (pairs.a_P, pairs.b_P))
    score_PS = np.stack([cosine(member.emb_UD, a_P, b_P) for member in members], axis=1)
    scaled_S = equal_S if kind == "concat" else shares(equal_S, score_PS)
    if same_P is None:
        return Shares(scaled_S)
    eers = tuple(evaluate(score_P, same_P)["eer"] for score_P in score_PS.T)
    if kind != "weighted":
        return Shares(scaled_S, eers)
    weight_S = fit_weights(score_PS, same_P)
    held_out = held_out_eer(score_PS, same_P, fold_labelled(recipe, catalog))
    equal = evaluate(score_PS @ scaled_S, same_P)["eer"]
    if held_out is not None and held_out >= equal:
        log.warning(
            "fitted weights do not beat equal ones on identities they were not fitted on "
            "(EER %.2f %% against %.2f %%): take --fusion mean",
            100 * held_out,
            100 * equal,
        )
    return Shares(shares(weight_S, score_PS), eers, tuple(weight_S.tolist()), held_out, equal)
