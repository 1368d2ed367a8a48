"""A picture of a data set: sample images of every split, genuine and impostor pairs, twins."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from starter.data.catalog import SPLITS, Catalog
from starter.data.decode import fit
from starter.errors import UserError

SIDE, ACROSS, GAP, MARGIN = 64, 12, 2, 116  # pixels; images in a row; the margin holds its name
APART = 8  # pixels between two pairs
GREY, GREEN, RED, ORANGE = (128, 128, 128), (0, 160, 0), (200, 0, 0), (240, 140, 0)


def draw(catalog: Catalog, path: Path, report: dict, seed: int = 0) -> None:
    """Writes a png: a row for each split, then rows of pairs (genuine green, impostor red), then
    near twins across splits and across labels (orange), as the report names them.

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
            rows.append(_row(catalog, f"{split} {len(items)}", np.sort(chosen), GREY, 1))
    for name, pairs in catalog.pairs.items():
        for same, word, colour in ((True, "same", GREEN), (False, "different", RED)):
            if pairs.same_P is None:
                continue
            chosen = rng.permutation(np.flatnonzero(pairs.same_P == same))[: ACROSS // 2]
            items = np.stack([pairs.a_P[chosen], pairs.b_P[chosen]], axis=1).ravel()
            rows.append(_row(catalog, f"{name}: {word}", items, colour, 2))
    for where in ("splits", "labels"):
        named = report["near_duplicates"][f"across_{where}_examples"]
        if named:
            items = _items(catalog, named)
            rows.append(_row(catalog, f"twins, {where}", items, ORANGE, 2))
    done, encoded = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])
    assert done
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def _items(catalog: Catalog, named: Iterable[Sequence[str]]) -> np.ndarray:
    """The items of pairs of names, one pair after the other."""
    wanted = [name for pair in named for name in pair]
    asked = set(wanted)
    item = {name: i for i, name in enumerate(catalog.names) if name in asked}
    return np.array([item[name] for name in wanted], np.int64)


def _row(
    catalog: Catalog, name: str, items: np.ndarray, colour: Sequence[int], group: int
) -> np.ndarray:
    """Its name, then images side by side on a ground of that colour, `group` of them close
    together; a cross where one cannot be read."""
    import cv2

    side = SIDE + 2 * GAP
    row = np.full((side, MARGIN + side * ACROSS + APART * (ACROSS // 2), 3), 255, np.uint8)
    cv2.putText(
        row, name, (4, side // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA
    )
    for k, i in enumerate(items):
        left = MARGIN + k * side + (APART * (k // group) if group > 1 else 0)
        cell = row[:, left : left + side]
        cell[:] = colour
        try:
            cell[GAP:-GAP, GAP:-GAP] = fit(catalog.image(int(i)), SIDE, 3)
        except UserError:
            cell[GAP:-GAP, GAP:-GAP] = 255 * np.eye(SIDE, dtype=np.uint8)[..., None]
    return row
