"""Pictures of a data set: sample images of every split, genuine and impostor pairs, twins; and what
augmentation makes of training images."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from starter.data.augment import build_augment
from starter.data.catalog import SPLITS, Catalog
from starter.data.decode import fit
from starter.errors import UserError
from starter.recipe.schema import Recipe

SIDE, ACROSS, GAP, MARGIN = 64, 12, 2, 116  # pixels; images in a row; the margin holds its name
APART = 8  # pixels between two pairs
GREY, GREEN, RED, ORANGE = (128, 128, 128), (0, 160, 0), (200, 0, 0), (240, 140, 0)
IMAGES, VARIANTS, WHITE = 8, 6, 4  # rows, variants in each; pixels between them


def draw(catalog: Catalog, path: Path, report: dict, seed: int = 0) -> None:
    """Writes a png: a row for each split, then rows of pairs (genuine green, impostor red), then
    near twins across splits and across labels (orange), as the report names them.

    Raises:
        OSError: it cannot be written.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for split in SPLITS:
        items = catalog.index(split)
        if len(items):
            chosen = rng.choice(items, min(ACROSS, len(items)), replace=False)
            rows.append(_row(catalog, f"{split} {len(items)}", np.sort(chosen), GREY, 1))
    for name, pairs in catalog.pairs.items():
        if pairs.same_P is None:
            continue
        for same, word, colour in ((True, "same", GREEN), (False, "different", RED)):
            chosen = rng.permutation(np.flatnonzero(pairs.same_P == same))[: ACROSS // 2]
            items = np.stack([pairs.a_P[chosen], pairs.b_P[chosen]], axis=1).ravel()
            rows.append(_row(catalog, f"{name}: {word}", items, colour, 2))
    for where in ("splits", "labels"):
        named = report["near_duplicates"][f"across_{where}_examples"]
        if named:
            index = {name: i for i, name in enumerate(catalog.names)}
            items = np.array([index[name] for pair in named for name in pair])
            rows.append(_row(catalog, f"twins, {where}", items, ORANGE, 2))
    Image.fromarray(np.concatenate(rows)).save(path, "png")


def _row(catalog: Catalog, name: str, items, colour: Sequence[int], group: int) -> np.ndarray:
    """Its name, then images side by side on a ground of that colour, `group` of them close
    together; a cross where one cannot be read."""
    side = SIDE + 2 * GAP
    row = np.full((side, MARGIN + side * ACROSS + APART * (ACROSS // 2), 3), 255, np.uint8)
    font, black = cv2.FONT_HERSHEY_SIMPLEX, (0, 0, 0)
    cv2.putText(row, name, (4, side // 2 + 4), font, 0.42, black, 1, cv2.LINE_AA)
    for k, i in enumerate(items):
        left = MARGIN + k * side + (APART * (k // group) if group > 1 else 0)
        cell = row[:, left : left + side]
        cell[:] = colour
        try:
            cell[GAP:-GAP, GAP:-GAP] = fit(catalog.image(int(i)), SIDE, 3)
        except UserError:
            cell[GAP:-GAP, GAP:-GAP] = 255 * np.eye(SIDE, dtype=np.uint8)[..., None]
    return row


def draw_augmented(recipe: Recipe, stage: str, catalog: Catalog, path: Path) -> dict:
    """Writes a png: a row an image; the image itself, then its variants.

    Returns:
        picture, stage, images, variants.
    Raises:
        UserError: no such stage, no training images.
    """
    if stage not in recipe.stages:
        raise UserError(f"no stage {stage!r} in the recipe; it has {', '.join(recipe.stages)}")
    section, channels = recipe.stages[stage], recipe.data.channels
    size = section.image_size or recipe.data.image_size
    steps = recipe.augment if section.augment is None else section.augment
    train, augment = catalog.index("train"), build_augment(steps, size, channels)
    if not len(train) or augment is None:
        raise UserError(f"{stage}: there is nothing to augment (no training images, or no augment)")
    chosen = np.random.default_rng(recipe.seed).choice(train, min(IMAGES, len(train)), False)
    image_NHWC = np.stack([fit(catalog.image(int(i)), size, channels) for i in chosen])
    variants = []
    for epoch in range(VARIANTS):
        variants.append(image_NHWC.copy())
        augment.batch(variants[-1], 0, epoch, 0)
    blocks = [_block(image_NHWC[:, None]), _block(np.stack(variants, 1))]
    Image.fromarray(np.concatenate(blocks, axis=1).squeeze()).save(path, "png")
    return {"picture": path.as_posix(), "stage": stage, "images": len(chosen), "variants": VARIANTS}


def _block(image_NVHWC: np.ndarray) -> np.ndarray:
    """Images in rows, a white gap between them and a wide one on the right."""
    gaps = ((0, 0), (0, 0), (WHITE, 0), (WHITE, 0), (0, 0))
    padded_NVHWC = np.pad(image_NVHWC, gaps, constant_values=255)
    sheet_HWC = np.concatenate(np.concatenate(padded_NVHWC, axis=1), axis=1)
    return np.pad(sheet_HWC, ((0, WHITE), (0, 3 * WHITE), (0, 0)), constant_values=255)
