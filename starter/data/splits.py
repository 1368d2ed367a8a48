"""What a set lacks and a run wants: a dev split, classes held out of training, validation pairs.

Shapes: N items, M train items, K classes or identities.
"""

import dataclasses
import logging

import numpy as np

from starter.data.catalog import DEV, TRAIN, VERIFY, Catalog
from starter.data.pairs import hold_out_classes, make_pairs, most_pairs
from starter.errors import UserError
from starter.recipe.schema.data import DataSection, PairsSection

log = logging.getLogger(__name__)

DEV_SEED = 0  # the dev split belongs to the data: no key of a run changes it


def complete(catalog: Catalog, data: DataSection) -> Catalog:
    """The catalog that a reader made, with the dev split and the labelled pairs it lacks.

    Pairs are made of the identities of its verify split, else of held-out classes where data.pairs
    is set. `identity_N` stays only where identities of pairs are known.

    Raises:
        UserError: too few images or classes for that.
    """
    identity_N = catalog.label_N if catalog.identity_N is None else catalog.identity_N
    known_verify = bool(((catalog.split_N == VERIFY) & (identity_N >= 0)).any())
    wanted = data.pairs or (PairsSection() if known_verify else None)
    if "val" in catalog.pairs:
        wanted = None
    test_K = np.empty(0, np.int64)
    if wanted is not None:
        catalog, test_K = _hold_out(catalog, identity_N, wanted)
    if len(catalog.classes) < 2:
        count = len(catalog.classes)
        raise UserError(f"{catalog.root}: the train split has {count} class; it needs two")
    split_N = catalog.split_N
    if not (split_N == DEV).any():
        split_N = split_dev(catalog.label_N, split_N, data.dev_fraction)
        catalog = dataclasses.replace(catalog, split_N=split_N)
    if wanted is None:
        return dataclasses.replace(catalog, identity_N=identity_N if known_verify else None)
    catalog = dataclasses.replace(catalog, identity_N=identity_N)
    index_M = np.flatnonzero((split_N == VERIFY) & (identity_N >= 0))
    tested_M = np.isin(identity_N[index_M], test_K)
    count = wanted.count
    if data.pairs is None:  # nobody asked for a number: no more than there are
        count = min(count, most_pairs(identity_N[index_M]))
        if count < 2:  # a picture of each: nobody can be compared with themself
            return catalog
    made = {"val": make_pairs(identity_N, index_M[~tested_M], count, wanted.seed)}
    if len(test_K):
        made["held"] = make_pairs(identity_N, index_M[tested_M], count, wanted.seed)
    return dataclasses.replace(catalog, pairs=catalog.pairs | made)


def _hold_out(
    catalog: Catalog, identity_N: np.ndarray, wanted: PairsSection
) -> tuple[Catalog, np.ndarray]:
    """The catalog with every image of the held-out classes in verify, and those of them that
    `hold_out_test` keeps. A verify split of the set is all there is to hold out."""
    pool_N = np.where(catalog.split_N == VERIFY, identity_N, -1)
    held_K = test_K = np.empty(0, np.int64)
    if own := not (pool_N >= 0).any():
        pool_N = np.where(catalog.split_N == TRAIN, identity_N, -1)
        held_K = hold_out_classes(pool_N, wanted.hold_out, wanted.seed)
        pool_N = np.where(np.isin(pool_N, held_K), -1, pool_N)
    if wanted.hold_out_test is not None:
        test_K = hold_out_classes(pool_N, wanted.hold_out_test, (wanted.seed, 1), "hold_out_test")
    if not own:
        return catalog, test_K
    more = f", {len(test_K)} more for pairs to report" if len(test_K) else ""
    log.info(
        "data.pairs: %d of %d classes held out of training for validation pairs%s",
        len(held_K),
        len(catalog.classes),
        more,
    )
    held_K = np.union1d(held_K, test_K)
    class_K = np.setdiff1d(np.arange(len(catalog.classes)), held_K)
    label_of = np.full(len(catalog.classes) + 1, -1)  # the last is that of -1
    label_of[class_K] = np.arange(len(class_K))
    held_N = np.isin(identity_N, held_K)
    return dataclasses.replace(
        catalog,
        label_N=label_of[catalog.label_N],
        split_N=np.where(held_N, np.uint8(VERIFY), catalog.split_N),
        classes=tuple(catalog.classes[k] for k in class_K),
    ), test_K


def split_dev(label_N: np.ndarray, split_N: np.ndarray, fraction: float) -> np.ndarray:
    """split_N with `fraction` of each class's train images moved to dev, drawn by a fixed seed.

    A class of two or more gives at least one image and keeps at least one.

    Raises:
        UserError: no class has two images.
    """
    train_M = np.flatnonzero(split_N == TRAIN)
    label_M = label_N[train_M]
    random_M = np.random.default_rng(DEV_SEED).random(len(train_M))
    order_M = np.lexsort((random_M, label_M))
    _, start_K, size_K = np.unique(label_M[order_M], return_index=True, return_counts=True)
    take_K = np.clip(np.round(fraction * size_K).astype(np.int64), 1, size_K - 1)
    rank_M = np.arange(len(train_M)) - np.repeat(start_K, size_K)
    moved_M = train_M[order_M[rank_M < np.repeat(take_K, size_K)]]
    if not len(moved_M):
        raise UserError("data.dev_fraction: no class has two train images, so none can validate")
    split_N = split_N.copy()
    split_N[moved_M] = DEV
    return split_N
