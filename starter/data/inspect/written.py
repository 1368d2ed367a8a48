"""Validation pairs as a file in the competition's own format: "a b 1" a line.

Shapes: M items to pair, P pairs.
"""

from pathlib import Path

import numpy as np

from starter.data.catalog import Catalog, Pairs
from starter.data.inspect.pictures import look
from starter.data.layouts import load_catalog
from starter.data.pairs import make_pairs, pairs_there_are
from starter.errors import UserError
from starter.files import write_text
from starter.recipe.schema.data import DataSection, PairsSection

POOL = 10  # hard pairs are the hardest of so many times as many


def made_pairs(data: DataSection, *, hard: bool = False) -> tuple[Catalog, Pairs]:
    """The catalog and the validation pairs that `data.pairs` makes of it (its defaults if unset).

    hard: of ten times as many drawn, the impostor pairs that look most alike and the genuine ones
    that look least alike, by small grey pictures: no network takes part, so none is favoured.

    Raises:
        UserError: the set ships its own pairs, or has too few images or classes.
    """
    section = data.pairs or PairsSection()
    if data.pairs is None and load_catalog(data).pairs.get("val") is None:
        data = data.model_copy(update={"pairs": section})
    catalog = load_catalog(data)
    if catalog.identity_N is None or "val" not in catalog.pairs:
        raise UserError(
            f"data: {data.root} ships its own validation pairs, or names no identities to pair; "
            "nothing is made of it"
        )
    pairs = catalog.pairs["val"]
    return catalog, _harden(catalog, len(pairs.a_P), section.seed) if hard else pairs


def _harden(catalog: Catalog, count: int, seed: int) -> Pairs:
    """As many pairs, the hardest of a pool, in random order."""
    assert catalog.identity_N is not None
    index_M = catalog.index("verify")
    index_M = index_M[catalog.identity_N[index_M] >= 0]
    if "held" in catalog.pairs:
        held = catalog.identity_N[catalog.pairs["held"].a_P]
        index_M = index_M[~np.isin(catalog.identity_N[index_M], held)]
    most_genuine, most_impostor = pairs_there_are(catalog.identity_N[index_M])
    half, rest = count // 2, count - count // 2
    genuine, impostor = min(POOL * half, most_genuine), min(POOL * rest, most_impostor)
    pool = make_pairs(catalog.identity_N, index_M, genuine + impostor, seed, genuine)
    assert pool.same_P is not None
    small_NS = look(catalog).small_NS.astype(np.int16)
    apart_P = np.abs(small_NS[pool.a_P] - small_NS[pool.b_P]).mean(axis=1)
    same, other = np.flatnonzero(pool.same_P), np.flatnonzero(~pool.same_P)
    same = same[np.argsort(-apart_P[same], kind="stable")[:half]]
    other = other[np.argsort(apart_P[other], kind="stable")[:rest]]
    kept = np.random.default_rng(seed).permutation(np.concatenate([same, other]))
    return Pairs(pool.a_P[kept], pool.b_P[kept], pool.same_P[kept])


def write_pairs(catalog: Catalog, pairs: Pairs, path: Path) -> None:
    """Writes "a b 1" or "a b 0" a line, names relative to the data's root; parted by commas where
    a name has a space.

    Raises:
        UserError: the file is there already.
    """
    assert pairs.same_P is not None
    if path.exists():
        raise UserError(f"{path} is there already; remove it or give another --out")
    used = {catalog.names[i] for side in (pairs.a_P, pairs.b_P) for i in side}
    mark = "," if any(" " in name for name in used) else " "
    lines = [
        mark.join([catalog.names[a], catalog.names[b], str(int(same))])
        for a, b, same in zip(pairs.a_P, pairs.b_P, pairs.same_P, strict=True)
    ]
    write_text(path, "\n".join(lines) + "\n")
