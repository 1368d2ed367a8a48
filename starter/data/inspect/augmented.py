"""A picture of what augmentation does: training images, the CPU's variants, the device's."""

from pathlib import Path

import numpy as np

from starter.data.augment import choose
from starter.data.augment.pipeline import build_augment
from starter.data.catalog import Catalog
from starter.data.decode import fit
from starter.errors import UserError
from starter.recipe.schema import Recipe

IMAGES, VARIANTS, GAP = 8, 6, 4


def draw_augmented(recipe: Recipe, stage: str, catalog: Catalog, path: Path) -> dict:
    """Writes a png: a row an image; the image itself, its variants by the CPU, by the device.

    Returns:
        picture, stage, images, variants (of each kind), device (why it has none, or None).
    Raises:
        UserError: no such stage, no training images, or a picture that cannot be written.
    """
    if stage not in recipe.stages:
        raise UserError(f"no stage {stage!r} in the recipe; it has {', '.join(recipe.stages)}")
    section, channels = recipe.stages[stage], recipe.data.channels
    size = section.image_size or recipe.data.image_size
    steps = recipe.augment if section.augment is None else section.augment
    train = catalog.index("train")
    if not len(train) or not steps:
        raise UserError(f"{stage}: there is nothing to augment (no training images, or no augment)")
    chosen = np.random.default_rng(recipe.seed).choice(train, min(IMAGES, len(train)), False)
    image_NHWC = np.stack([fit(catalog.image(int(i)), size, channels) for i in chosen])
    blocks, reason = [image_NHWC[:, None], _by_cpu(steps, image_NHWC)], None
    try:
        blocks.append(_by_device(steps, image_NHWC))
    except UserError as error:
        reason = str(error)
    _write(blocks, path)
    return {
        "picture": path.as_posix(),
        "stage": stage,
        "images": len(chosen),
        "variants": VARIANTS,
        "device": reason,
    }


def _by_cpu(steps, image_NHWC: np.ndarray) -> np.ndarray:
    """(N, VARIANTS, H, W, C)."""
    size, channels = image_NHWC.shape[2:]
    augment = build_augment(steps, size, channels)
    assert augment is not None
    return np.stack(
        [
            [augment(image_HWC.copy(), (0, variant, i)) for variant in range(VARIANTS)]
            for i, image_HWC in enumerate(image_NHWC)
        ]
    )


def _by_device(steps, image_NHWC: np.ndarray) -> np.ndarray:
    import torch

    size, channels = image_NHWC.shape[2:]
    augment = choose("device", steps, size, channels, "cpu")
    assert augment is not None
    images, position_N = torch.from_numpy(image_NHWC), np.arange(len(image_NHWC))
    made = [
        augment.apply(images, augment.prepare(0, variant, position_N)).numpy()
        for variant in range(VARIANTS)
    ]
    return np.stack(made, 1)


def _write(blocks: list[np.ndarray], path: Path) -> None:
    """Blocks side by side, a white gap between images and a wide one between blocks."""
    import cv2

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
