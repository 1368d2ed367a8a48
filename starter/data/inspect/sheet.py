"""A picture of a data set: sample images of every split, genuine and impostor pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from starter.data.catalog import SPLITS, Catalog
from starter.data.decode import fit
from starter.recipe import UserError

SIDE, ACROSS, GAP = 64, 12, 2


def draw(catalog: Catalog, path: Path, seed: int = 0) -> None:
    """Writes a png: a row for each split, then rows of pairs (genuine green, impostor red).

    Raises:
        UserError: it cannot be written.
    """
    import cv2

    rng = np.random.default_rng(seed)
    rows = []
    for split in SPLITS:
        items = catalog.index(split)
        if len(items):
            chosen = rng.choice(items, min(ACROSS, len(items)), replace=False)
            rows.append(_row(catalog, np.sort(chosen), (128, 128, 128)))
    for pairs in catalog.pairs.values():
        for same, colour in ((True, (0, 160, 0)), (False, (200, 0, 0))):
            if pairs.same_P is None:
                continue
            chosen = rng.permutation(np.flatnonzero(pairs.same_P == same))[: ACROSS // 2]
            items = np.stack([pairs.a_P[chosen], pairs.b_P[chosen]], axis=1).ravel()
            rows.append(_row(catalog, items, colour))
    done, encoded = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])
    assert done
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def _row(catalog: Catalog, items: np.ndarray, colour: Sequence[int]) -> np.ndarray:
    """Images side by side on a ground of that colour; a cross where one cannot be read."""
    side = SIDE + 2 * GAP
    row = np.full((side, side * ACROSS, 3), 255, np.uint8)
    for k, i in enumerate(items):
        cell = row[:, k * side : (k + 1) * side]
        cell[:] = colour
        try:
            cell[GAP:-GAP, GAP:-GAP] = fit(catalog.image(int(i)), SIDE, 3)
        except UserError:
            cell[GAP:-GAP, GAP:-GAP] = 255 * np.eye(SIDE, dtype=np.uint8)[..., None]
    return row
