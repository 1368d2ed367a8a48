"""A picture of what augmentation does: training images, and variants of each."""

from pathlib import Path

import cv2
import numpy as np

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
        UserError: no such stage, no training images, or a picture that cannot be written.
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
    _write([image_NHWC[:, None], np.stack(variants, 1)], path)
    return {"picture": path.as_posix(), "stage": stage, "images": len(chosen), "variants": VARIANTS}


def _write(blocks: list[np.ndarray], path: Path) -> None:
    """Blocks side by side, a white gap between images and a wide one between blocks."""
    parts = []
    for block_NVHWC in blocks:
        padded = np.pad(
            block_NVHWC, ((0, 0), (0, 0), (GAP, 0), (GAP, 0), (0, 0)), constant_values=255
        )
        rows = np.concatenate(list(padded.transpose(1, 0, 2, 3, 4)), axis=2)
        sheet = np.concatenate(list(rows), axis=0)
        parts.append(np.pad(sheet, ((0, GAP), (0, 3 * GAP), (0, 0)), constant_values=255))
    whole = np.concatenate(parts, axis=1)
    done, encoded = cv2.imencode(".png", whole[..., ::-1] if whole.shape[2] == 3 else whole)
    assert done
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
