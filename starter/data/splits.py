"""What a set lacks and a run wants: a dev split, classes held out of training, validation pairs.

Shapes: N items, M train items, K classes or identities.
"""

import dataclasses
import logging

import numpy as np

from starter.data.catalog import DEV, TRAIN, VERIFY, Catalog, in_order
from starter.data.pairs import hold_out_classes, make_pairs, pairs_there_are
from starter.errors import UserError, did_you_mean
from starter.recipe.schema.data import DataSection, PairsSection, SplitSection

log = logging.getLogger(__name__)

# Cells of a column that marks dev images, and those of the others.
MARKS = ("1", "true", "dev", "val", "valid", "validation"), ("", "0", "false", "train", "training")
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
    if not (catalog.split_N == DEV).any() and data.split.dev:
        catalog = dataclasses.replace(catalog, split_N=split_dev(catalog, data.split))
    split_N = catalog.split_N
    if wanted is None:
        return dataclasses.replace(catalog, identity_N=identity_N if known_verify else None)
    catalog = dataclasses.replace(catalog, identity_N=identity_N)
    index_M = np.flatnonzero((split_N == VERIFY) & (identity_N >= 0))
    tested_M = np.isin(identity_N[index_M], test_K)
    count = wanted.count
    if data.pairs is None:  # nobody asked for a number: no more than there are
        count = min(count, 2 * min(pairs_there_are(identity_N[index_M])))
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


def split_dev(catalog: Catalog, section: SplitSection) -> np.ndarray:
    """split_N with a share of the train images moved to dev, by a fixed seed, as `data.split` says.

    Every class that is trained keeps an image: a group that would take its last one stays.

    Raises:
        UserError: no such column, or nothing can be moved.
    """
    train_M = catalog.index("train")
    label_M = catalog.label_N[train_M]
    if section.by == "stratified":
        moved_M = _share_of_each(label_M, section.dev)
    else:
        moved_M = _by_column(_column(catalog, section, train_M), label_M, section)
    if not moved_M.any():
        raise UserError(
            "data.split.dev: nothing can be moved to dev without the last image of a class; lower "
            "it, or set it to 0 to validate by pairs alone"
        )
    split_N = catalog.split_N.copy()
    split_N[train_M[moved_M]] = DEV
    return split_N


def _share_of_each(label_M: np.ndarray, share: float) -> np.ndarray:
    """A share of each class, bool (M). A class of two or more gives at least one image and keeps
    at least one."""
    random_M = np.random.default_rng(DEV_SEED).random(len(label_M))
    order_M = np.lexsort((random_M, label_M))
    _, start_K, size_K = np.unique(label_M[order_M], return_index=True, return_counts=True)
    take_K = np.clip(np.round(share * size_K).astype(np.int64), 1, size_K - 1)
    rank_M = np.arange(len(label_M)) - np.repeat(start_K, size_K)
    moved_M = np.zeros(len(label_M), bool)
    moved_M[order_M[rank_M < np.repeat(take_K, size_K)]] = True
    return moved_M


def _column(catalog: Catalog, section: SplitSection, train_M: np.ndarray) -> list[str]:
    """The cells of `data.split.column` of the train images."""
    name = section.column
    assert name is not None, "checked by the schema"
    cells = catalog.columns.get(name)
    if cells is None:
        known = ", ".join(catalog.columns) or "none: this layout reads no table"
        hint = did_you_mean(name, catalog.columns)
        raise UserError(f"data.split.column: the set has no column {name}{hint} (it has {known})")
    return [cells[i] for i in train_M]


def _by_column(cells: list[str], label_M: np.ndarray, section: SplitSection) -> np.ndarray:
    """Which train images the column moves to dev, bool (M)."""
    group_M = np.arange(len(cells))
    if section.by == "column":
        (yes, no), kinds = MARKS, {cell.lower() for cell in cells}
        dev = yes if kinds <= {*yes, *no} else in_order(kinds)[:1]
        moved_M = np.array([cell.lower() in dev for cell in cells])
    elif section.by == "time":
        place = {cell: k for k, cell in enumerate(in_order(cells))}
        order_M = np.argsort([place[cell] for cell in cells], kind="stable")
        moved_M = np.zeros(len(cells), bool)
        moved_M[order_M[len(cells) - round(section.dev * len(cells)) :]] = True
    else:  # an empty cell is a group of its own
        names = [cell or f"row {i}" for i, cell in enumerate(cells)]
        group_M = np.unique(names, return_inverse=True)[1]
        moved_M = _whole_groups(group_M, label_M, section)
    # A class with nothing left to train keeps one of its groups.
    lost_K = np.setdiff1d(label_M, label_M[~moved_M])
    kept = [group_M[np.flatnonzero(label_M == k)[0]] for k in lost_K]
    moved_M &= ~np.isin(group_M, kept)
    if "group" in section.by:
        log.info(
            "data.split: %d of %d images are dev: %d of %d groups of %s, none on both sides",
            moved_M.sum(),
            len(moved_M),
            len(np.unique(group_M[moved_M])),
            group_M.max() + 1,
            section.column,
        )
    return moved_M


def _whole_groups(group_M: np.ndarray, label_M: np.ndarray, section: SplitSection) -> np.ndarray:
    """About a share of the images, bool (M), by whole groups drawn at random."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    if section.by == "group":
        split = GroupShuffleSplit(1, test_size=section.dev, random_state=DEV_SEED)
    else:
        folds = max(2, round(1 / section.dev))
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=DEV_SEED)
    try:
        _, dev_M = next(split.split(label_M, label_M, group_M))
    except ValueError as error:
        raise UserError(f"data.split: {section.by} of {section.column}: {error}") from error
    return np.isin(np.arange(len(label_M)), dev_M)
