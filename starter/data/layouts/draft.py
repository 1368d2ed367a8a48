"""From what a reader found to a Catalog: the missing dev split, held-out classes, pairs.

Shapes: N items, K identities or classes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from starter.data.catalog import DEV, SPLITS, TEST, TRAIN, VERIFY, Catalog, Gallery, Pairs
from starter.data.pairs import hold_out_classes, make_pairs, most_pairs
from starter.errors import UserError
from starter.recipe.schema.data import DataSection, PairsSection

log = logging.getLogger(__name__)

DEV_SEED = 0  # the dev split belongs to the data: no key of a run changes it


@dataclass
class Draft:
    """Items as a reader finds them. identity: index into `identities`, -1 unknown."""

    root: Path | None
    identities: list[str]
    names: list[str] = field(default_factory=list)
    identity: list[int] = field(default_factory=list)
    split: list[int] = field(default_factory=list)
    pairs: dict[str, Pairs] = field(default_factory=dict)
    array_N: np.ndarray | None = None
    gallery: Gallery | None = None

    def add(self, split: int, names: Sequence[str], identity: Sequence[int] | None = None) -> None:
        """More items of a split; without identities where nobody knows them."""
        self.names += names
        self.identity += [-1] * len(names) if identity is None else identity
        self.split += [split] * len(names)

    def finish(self, data: DataSection) -> Catalog:
        """The catalog: a dev split and labelled pairs made where they are missing and wanted.

        Raises:
            UserError: too few images or classes for that.
        """
        identity_N = np.array(self.identity, np.int64)
        split_N = np.array(self.split, np.uint8)
        known_verify = (split_N == VERIFY) & (identity_N >= 0)
        wanted = data.pairs or (PairsSection() if known_verify.any() else None)
        if "val" in self.pairs:
            wanted = None
        test_K = np.empty(0, np.int64)
        if wanted is not None:
            split_N, test_K = self._hold_out(identity_N, split_N, wanted)
        if not (split_N == DEV).any():
            split_N = split_dev(identity_N, split_N, data.dev_fraction)
        catalog = self._label(identity_N, split_N)
        if wanted is None:
            return replace(catalog, identity_N=identity_N) if known_verify.any() else catalog
        index_M = np.flatnonzero((split_N == VERIFY) & (identity_N >= 0))
        tested_M = np.isin(identity_N[index_M], test_K)
        count = wanted.count
        if data.pairs is None:  # nobody asked for a number: no more than there are
            count = min(count, most_pairs(identity_N[index_M]))
            if count < 2:  # a picture of each: nobody can be compared with themself
                return replace(catalog, identity_N=identity_N)
        made = {"val": make_pairs(identity_N, index_M[~tested_M], count, wanted.seed)}
        if len(test_K):
            made["held"] = make_pairs(identity_N, index_M[tested_M], count, wanted.seed)
        return replace(catalog, pairs=self.pairs | made, identity_N=identity_N)

    def _hold_out(
        self, identity_N: np.ndarray, split_N: np.ndarray, wanted: PairsSection
    ) -> tuple[np.ndarray, np.ndarray]:
        """split_N with every image of the held-out classes, of whichever split, in verify, and
        those of them that `hold_out_test` keeps. A verify split of the set is all there is to
        hold out."""
        pool_N = np.where(split_N == VERIFY, identity_N, -1)
        held_K = np.empty(0, np.int64)
        if not (pool_N >= 0).any():
            pool_N = np.where(split_N == TRAIN, identity_N, -1)
            classes = len(np.unique(pool_N[pool_N >= 0]))
            held_K = hold_out_classes(pool_N, wanted.hold_out, wanted.seed)
            pool_N = np.where(np.isin(pool_N, held_K), -1, pool_N)
        test_K = np.empty(0, np.int64)
        if wanted.hold_out_test is not None:
            test_K = hold_out_classes(
                pool_N, wanted.hold_out_test, (wanted.seed, 1), "hold_out_test"
            )
        if len(held_K):
            more = f", {len(test_K)} more for pairs to report" if len(test_K) else ""
            log.info(
                "data.pairs: %d of %d classes held out of training for validation pairs%s",
                len(held_K),
                classes,
                more,
            )
        held_K = np.union1d(held_K, test_K)
        return np.where(np.isin(identity_N, held_K), np.uint8(VERIFY), split_N), test_K

    def _label(self, identity_N: np.ndarray, split_N: np.ndarray) -> Catalog:
        """Classes are the identities of the train split, in the identities' order."""
        class_K = np.unique(identity_N[split_N == TRAIN])
        if len(class_K) < 2:
            raise UserError(f"{self.root}: the train split has {len(class_K)} class; it needs two")
        label_of = np.full(len(self.identities) + 1, -1, np.int64)  # the last is that of -1
        label_of[class_K] = np.arange(len(class_K))
        label_N = np.where(split_N == VERIFY, -1, label_of[identity_N])
        assert (label_N[split_N <= DEV] >= 0).all(), "a train or dev image without a class"
        for split in (TRAIN, DEV, TEST, VERIFY):
            log.debug("%s: %d images", SPLITS[split], (split_N == split).sum())
        return Catalog(
            root=self.root,
            names=self.names,
            label_N=label_N,
            split_N=split_N,
            classes=tuple(self.identities[k] for k in class_K),
            pairs=self.pairs,
            array_N=self.array_N,
            gallery=self.gallery,
        )


def split_dev(identity_N: np.ndarray, split_N: np.ndarray, fraction: float) -> np.ndarray:
    """split_N with `fraction` of each class's train images moved to dev, drawn by a fixed seed.

    A class of two or more gives at least one image and keeps at least one.

    Raises:
        UserError: no class has two images.
    """
    train_M = np.flatnonzero(split_N == TRAIN)
    identity_M = identity_N[train_M]
    random_M = np.random.default_rng(DEV_SEED).random(len(train_M))
    order_M = np.lexsort((random_M, identity_M))
    _, start_K, size_K = np.unique(identity_M[order_M], return_index=True, return_counts=True)
    take_K = np.clip(np.round(fraction * size_K).astype(np.int64), 1, size_K - 1)
    rank_M = np.arange(len(train_M)) - np.repeat(start_K, size_K)
    moved_M = train_M[order_M[rank_M < np.repeat(take_K, size_K)]]
    if not len(moved_M):
        raise UserError("data.dev_fraction: no class has two train images, so none can validate")
    split_N = split_N.copy()
    split_N[moved_M] = DEV
    return split_N
