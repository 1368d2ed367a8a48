"""Small data sets on disk that the tests of this room build."""

from pathlib import Path

import cv2
import numpy as np

from starter.recipe.schema.data import DataSection


def picture(seed: int, shape: tuple[int, ...] = (8, 8, 3)) -> np.ndarray:
    """Smoothed noise: a photograph's smoothness, nobody's face."""
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def write(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = picture(seed)
    assert cv2.imwrite(str(path), image[..., 0] if path.suffix == ".pgm" else image)
    return path


def section(root: Path, layout: str = "hw2p2", **keys) -> DataSection:
    return DataSection.model_validate({"layout": layout, "root": str(root), **keys})


def competition(root: Path, *, test_labels: bool = False) -> Path:
    """HW2P2 as of S25 to F26: 3 classes, 4 train, 2 dev and 1 test image each, 6 pair images."""
    for split, each in (("train", 4), ("dev", 2), ("test", 1)):
        lines = []
        for i in range(3 * each):
            name = f"{split}_{(i * 5) % (3 * each):03d}.jpg"  # lines are not in sorted order
            write(root / "cls_data" / split / "images" / name, i)
            lines.append(f"{name} {i % 3}\n")
        if split != "test" or test_labels:
            (root / "cls_data" / split / "labels.txt").write_text("".join(lines))
    for i, letter in enumerate("abcdef"):
        write(root / "ver_data" / f"{letter}.jpg", 100 + i)
    (root / "val_pairs.txt").write_text("b.jpg a.jpg 1\na.jpg c.jpg 0\n")
    (root / "test_pairs.txt").write_text("e.jpg a.jpg\ne.jpg d.jpg\na.jpg b.jpg\n")
    return root


def replace_line(path: Path, line: int, text: str) -> None:
    """Another text on line `line`, from 1, of a file."""
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")


def class_folders(root: Path, sizes: dict[str, int], suffix: str = ".png") -> Path:
    """A folder per class with so many images each."""
    for k, (name, size) in enumerate(sizes.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(size):
            write(root / name / f"{i:02d}{suffix}", 1000 * k + i)
    return root
