"""What a recipe changes about the training images: a long tail, turned ones as new classes.

Shapes: N items, M of them; K classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from starter.data.catalog import TURNS, Catalog
from starter.errors import UserError


def long_tail(catalog: Catalog, imbalance: float, seed: int = 0) -> Catalog:
    """Leaves class k of K a share imbalance^(-k / (K - 1)) of its training images.

    That is the long-tailed CIFAR of Cui et al., Class-Balanced Loss, CVPR 2019: the first class
    keeps all, the last one 1 / imbalance of them, at least one. Which images stay is drawn from
    `seed`; images of pairs and galleries always stay.

    Args:
        catalog: N items. imbalance: 1 or more; 1 changes nothing.
    """
    if imbalance == 1:
        return catalog
    rng = np.random.default_rng(seed)
    train_M, classes = catalog.index("train"), len(catalog.classes)
    keep_N = np.ones(len(catalog), bool)
    for k in range(classes):
        of_class_M = train_M[catalog.label_N[train_M] == k]
        share = imbalance ** (-k / max(classes - 1, 1))
        stays = max(1, round(share * len(of_class_M)))
        keep_N[rng.permutation(of_class_M)[stays:]] = False
    referring: list[tuple[Any, tuple[str, ...]]] = [
        (pairs, ("a_P", "b_P")) for pairs in catalog.pairs.values()
    ]
    if catalog.gallery is not None:
        referring.append((catalog.gallery, ("known_G", "dev_Q", "test_T")))
    for owner, fields in referring:
        for name in fields:
            keep_N[getattr(owner, name)] = True
    new_N = np.cumsum(keep_N) - 1
    moved = [
        dataclasses.replace(owner, **{name: new_N[getattr(owner, name)] for name in fields})
        for owner, fields in referring
    ]
    return dataclasses.replace(
        _take(catalog, np.flatnonzero(keep_N)),
        pairs=dict(zip(catalog.pairs, moved, strict=False)),
        gallery=None if catalog.gallery is None else moved[-1],
    )


def add_turned(catalog: Catalog, turns: Sequence[str]) -> Catalog:
    """Appends every training image once per turn, labelled with a class of its own.

    A whale's right side is not its left side mirrored, and a character on its side is another one:
    more classes to tell apart make an embedding that holds better for classes never seen. A
    mirrored face is the same face: not for faces.

    Class k turned by the j-th of `turns` (from 1) is class j K + k, named "k's name@turn". Only the
    K classes that were there before are predicted (`Catalog.answers`).

    Args:
        turns: names in catalog.TURNS ("rot90", "hflip", ...). None changes nothing.
    Raises:
        UserError: a turn named twice.
    """
    if not turns:
        return catalog
    if len(set(turns)) != len(turns):
        raise UserError(f"data.new_classes: one of them twice (got {list(turns)})")
    train_M, classes, count = catalog.index("train"), len(catalog.classes), len(catalog)
    more = _take(catalog, np.concatenate([np.arange(count), np.tile(train_M, len(turns))]))
    more.label_N[count:] += np.repeat(np.arange(1, len(turns) + 1), len(train_M)) * classes
    if more.identity_N is not None:
        more.identity_N[count:] = -1  # of nobody that is in a pair
    turn_N = np.zeros(len(more), np.uint8)
    turn_N[count:] = np.repeat([[*TURNS].index(name) for name in turns], len(train_M))
    return dataclasses.replace(
        more,
        classes=(*catalog.classes, *(f"{name}@{t}" for t in turns for name in catalog.classes)),
        turn_N=turn_N,
        answers=classes,
    )


def _take(catalog: Catalog, index_M: np.ndarray) -> Catalog:
    """The catalog of these items, in this order; pairs and gallery still point at the old ones."""

    def take(array_N: np.ndarray | None) -> np.ndarray | None:
        return None if array_N is None else array_N[index_M]

    def of(texts: Sequence[str]) -> list[str]:
        return [texts[i] for i in index_M]

    return dataclasses.replace(
        catalog,
        names=of(catalog.names),
        label_N=catalog.label_N[index_M],
        split_N=catalog.split_N[index_M],
        array_N=take(catalog.array_N),
        identity_N=take(catalog.identity_N),
        ids=None if catalog.ids is None else of(catalog.ids),
        columns={name: of(cells) for name, cells in catalog.columns.items()},
    )
