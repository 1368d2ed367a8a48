"""A picture of what augmentation does: training images, and variants of each."""

from pathlib import Path

import numpy as np
from PIL import Image

from starter.data.augment import build_augment
from starter.data.catalog import Catalog
from starter.data.decode import fit
from starter.errors import UserError
from starter.recipe.schema import Recipe

IMAGES, VARIANTS, GAP = 8, 6, 4


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
    how = recipe.data.fit
    image_NHWC = np.stack([fit(catalog.image(int(i)), size, channels, how) for i in chosen])
    variants = []
    for epoch in range(VARIANTS):
        variants.append(image_NHWC.copy())
        augment.batch(variants[-1], 0, epoch, 0)
    blocks = [_block(image_NHWC[:, None]), _block(np.stack(variants, 1))]
    Image.fromarray(np.concatenate(blocks, axis=1).squeeze()).save(path, "png")
    return {"picture": path.as_posix(), "stage": stage, "images": len(chosen), "variants": VARIANTS}


def _block(image_NVHWC: np.ndarray) -> np.ndarray:
    """Images in rows, a white gap between them and a wide one on the right."""
    gaps = ((0, 0), (0, 0), (GAP, 0), (GAP, 0), (0, 0))
    padded_NVHWC = np.pad(image_NVHWC, gaps, constant_values=255)
    sheet_HWC = np.concatenate(np.concatenate(padded_NVHWC, axis=1), axis=1)
    return np.pad(sheet_HWC, ((0, GAP), (0, 3 * GAP), (0, 0)), constant_values=255)
