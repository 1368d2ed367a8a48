"""Training images left out so that classes are uneven, to see how a loss stands it."""

import dataclasses

import numpy as np

from starter.data.catalog import TRAIN, Catalog, Gallery, Pairs


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
    classes = len(catalog.classes)
    keep_N = np.ones(len(catalog), bool)
    for k in range(classes):
        of_class_M = np.flatnonzero((catalog.split_N == TRAIN) & (catalog.label_N == k))
        share = imbalance ** (-k / max(classes - 1, 1))
        stays = max(1, round(share * len(of_class_M)))
        keep_N[rng.permutation(of_class_M)[stays:]] = False
    for referred in _referred(catalog):
        keep_N[referred] = True
    return _subset(catalog, keep_N)


def _referred(catalog: Catalog) -> list[np.ndarray]:
    found = [side for pairs in catalog.pairs.values() for side in (pairs.a_P, pairs.b_P)]
    gallery = catalog.gallery
    return found + ([gallery.known_G, gallery.dev_Q, gallery.test_T] if gallery else [])


def _subset(catalog: Catalog, keep_N: np.ndarray) -> Catalog:
    """The items that stay, and everything that points at them."""
    new_N = np.cumsum(keep_N) - 1
    kept = np.flatnonzero(keep_N)

    def pairs_of(pairs: Pairs) -> Pairs:
        return dataclasses.replace(pairs, a_P=new_N[pairs.a_P], b_P=new_N[pairs.b_P])

    def gallery_of(gallery: Gallery) -> Gallery:
        moved = {name: new_N[getattr(gallery, name)] for name in ("known_G", "dev_Q", "test_T")}
        return dataclasses.replace(gallery, **moved)

    return dataclasses.replace(
        catalog,
        names=[catalog.names[int(i)] for i in kept],
        label_N=catalog.label_N[keep_N],
        split_N=catalog.split_N[keep_N],
        pairs={name: pairs_of(pairs) for name, pairs in catalog.pairs.items()},
        array_N=None if catalog.array_N is None else catalog.array_N[keep_N],
        identity_N=None if catalog.identity_N is None else catalog.identity_N[keep_N],
        gallery=None if catalog.gallery is None else gallery_of(catalog.gallery),
    )
