"""Turned training images as images of other classes, where turning makes another thing of them.

A whale's right side is not its left side mirrored, and a character on its side is another one: more
classes to tell apart make an embedding that holds better for classes never seen. A mirrored face is
the same face: not for faces.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from starter.data.catalog import TRAIN, TURNS, Catalog
from starter.errors import UserError


def add_turned(catalog: Catalog, turns: Sequence[str]) -> Catalog:
    """Appends every training image once per turn, labelled with a class of its own.

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
    train_M, classes = catalog.index("train"), len(catalog.classes)
    turned = np.tile(train_M, len(turns))
    from_N = np.concatenate([np.arange(len(catalog)), turned])
    label_N, split_N = catalog.label_N[from_N], catalog.split_N[from_N]
    number = np.repeat(np.arange(1, len(turns) + 1), len(train_M))
    added_N = label_N[len(catalog) :]
    label_N[len(catalog) :] = np.where(added_N < 0, added_N, added_N + number * classes)
    turn = np.repeat([TURNS.index(name) for name in turns], len(train_M))
    assert (split_N[len(catalog) :] == TRAIN).all()
    identity_N = catalog.identity_N
    if identity_N is not None:  # of nobody that is in a pair
        identity_N = np.concatenate([identity_N, np.full(len(turned), -1, identity_N.dtype)])
    return dataclasses.replace(
        catalog,
        names=[*catalog.names, *(catalog.names[int(i)] for i in turned)],
        label_N=label_N,
        split_N=split_N,
        classes=(*catalog.classes, *(f"{name}@{t}" for t in turns for name in catalog.classes)),
        array_N=None if catalog.array_N is None else catalog.array_N[from_N],
        identity_N=identity_N,
        turn_N=np.concatenate([np.zeros(len(catalog), np.uint8), turn.astype(np.uint8)]),
        answers=classes,
    )
