"""Images a second that loaders deliver: the kit's, a course-style one, timm's, torchvision v2.

    python -m benchmarks.loader                      # JPEG files that it draws itself
    python -m benchmarks.loader --root DIR --json    # your own: DIR/<class>/<picture>

The same files, the same batch, in turns. A batch is delivered when it lies on the device: uint8
where the kit makes it (it is normalised there, as a part of the step), float32 from the others.
The augmentations are of the same kinds with the same ranges: flip, rotation and shift, colour
jitter, erasing. Loaders with processes keep them over the rounds, so that none counts its start.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import interleaved, machine, parser, show
from starter.recipe.schema.base import Size, sides

FACE = [
    {"kind": "HorizontalFlip", "p": 0.5},
    {"kind": "Affine", "rotate": [-10, 10], "translate_percent": [-0.05, 0.05], "p": 0.5},
    {"kind": "ColorJitter", "p": 0.5, "hue": [-0.02, 0.02]}
    | {key: [0.8, 1.2] for key in ("brightness", "contrast", "saturation")},
    {"kind": "CoarseDropout", "p": 0.25, "num_holes_range": [1, 1]}
    | {key: [0.1, 0.3] for key in ("hole_height_range", "hole_width_range")},
]
COURSE, COURSE_AUGMENTED = "course style", "course style, augmented"


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or draw_files(Path(scratch) / "jpeg", options.images, options.size)
        loaders = Loaders(root, Path(scratch), options)
        try:
            work = {name: _work(*given) for name, given in loaders.all().items()}
            bases = {name: COURSE_AUGMENTED if "augmented" in name else COURSE for name in work}
            rates = interleaved(work, options.rounds, bases)
        finally:
            loaders.close()
    facts = machine() | {"images": loaders.count}
    facts |= {key: getattr(options, key) for key in ("size", "batch", "workers", "rounds")}
    print(show("Loaders", "images/s", rates, facts, options.json))
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    command = parser("loader", __doc__, rounds=5)
    command.add_argument("--root", type=Path, help="folder of classes with pictures, else drawn")
    command.add_argument("--images", type=int, default=2048, help="to draw (default 2048)")
    command.add_argument("--size", type=int, default=112, help="pixels a side (default 112)")
    command.add_argument("--batch", type=int, default=256, help="images a batch (default 256)")
    command.add_argument("--workers", type=int, default=2, help="processes a loader (default 2)")
    return command.parse_args(arguments)


def _work(epoch: Callable[[], Iterator[int]], times: int) -> Callable[[], int]:
    """A round: some epochs; a GPU has done its part when it ends."""

    def run() -> int:
        import torch

        count = sum(sum(epoch()) for _ in range(times))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return count

    return run


def draw_files(folder: Path, count: int, size: int) -> Path:
    """Smooth coloured pictures with grain, JPEG quality 90, in 8 folders; about 5 KB at 112 px."""
    import cv2

    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        image = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
        place = folder / f"{i % 8}"
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{i}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return folder


class Loaders:
    """All alternatives over one folder: name -> (an epoch that yields batch sizes, repeats)."""

    def __init__(self, root: Path, scratch: Path, options: argparse.Namespace):
        import torch

        from starter.data import load_catalog, load_pack
        from starter.recipe.schema.data import DataSection

        self.root, self.options = root, options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._open: list = []
        catalog = load_catalog(DataSection.model_validate({"layout": "folders", "root": str(root)}))
        self.image_NHWC = load_pack(catalog, options.size, 3, scratch)
        self.count = len(catalog)

    def all(self) -> dict[str, tuple[Callable[[], Iterator[int]], int]]:
        """Those that are quick run several times a round."""
        size, epochs = self.options.size, self._epochs
        return {
            "packed": (self._kit(None), 20),
            "packed, augmented by processes": (self._kit("processes"), 2),
            "packed, augmented by a thread": (self._kit("thread"), 2),
            "timm, augmented": (epochs(timm_loader, size), 1),
            "torchvision v2, augmented": (epochs(torch_loader, v2_transform(size), v2_load), 1),
            COURSE: (epochs(torch_loader, course_transform(size, augmented=False)), 1),
            COURSE_AUGMENTED: (epochs(torch_loader, course_transform(size, augmented=True)), 1),
        }

    def _kit(self, how: str | None) -> Callable[[], Iterator[int]]:
        from starter.data.augment import build_augment
        from starter.data.batches import TrainBatches
        from starter.recipe.schema.data import AugmentStep, ShuffleSampler

        steps = [AugmentStep.model_validate(step) for step in FACE]
        size, cuda = self.options.size, self.device.type == "cuda"
        batches = TrainBatches(
            self.image_NHWC,
            np.zeros(self.count, np.int64),
            np.arange(self.count),
            batch_size=self.options.batch,
            sampler=ShuffleSampler(),
            seed=0,
            pin_memory=cuda,
            augment=build_augment(steps, size) if how else None,
            workers=self.options.workers if how == "processes" else 0,
        )
        self._open.append(batches)

        def epoch() -> Iterator[int]:
            for batch in batches.epoch(0):
                batch.image_BHWC.to(self.device, non_blocking=True)
                yield len(batch.label_B)

        return epoch

    def _epochs(self, make: Callable, *how) -> Callable[[], Iterator[int]]:
        """Of a loader that `make` gives of the files; `how` is what it takes besides."""
        options = self.options
        loader = make(self.root, *how, batch=options.batch, workers=options.workers)

        def epoch() -> Iterator[int]:
            for image_BCHW, label_B in loader:
                image_BCHW.to(self.device, non_blocking=True)
                yield len(label_B)

        return epoch

    def close(self) -> None:
        """Ends the kit's processes; those of DataLoaders end with them."""
        for batches in self._open:
            batches.close()


def torch_loader(
    root: Path, transform: Callable, load: Callable | None = None, *, batch: int, workers: int
):
    """torch's DataLoader over a folder of classes, as most write it."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import default_loader

    dataset = ImageFolder(root, transform, loader=load or default_loader)
    return DataLoader(dataset, batch, shuffle=True, drop_last=True, **_processes(workers))


def timm_loader(root: Path, size: Size, *, batch: int, workers: int):
    """timm's loader over a folder of classes, as its training script makes it."""
    import torch
    from timm.data import create_loader
    from torchvision.datasets import ImageFolder

    cuda = torch.cuda.is_available()
    return create_loader(
        ImageFolder(root),
        (3, *sides(size)),
        batch,
        is_training=True,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        scale=(0.9, 1.0),
        ratio=(1.0, 1.0),
        hflip=0.5,
        color_jitter=0.2,
        color_jitter_prob=0.5,
        re_prob=0.25,
        interpolation="bilinear",
        use_prefetcher=cuda,
        device=torch.device("cuda" if cuda else "cpu"),
        **_processes(workers),
    )


def _processes(workers: int) -> dict[str, Any]:
    """Options of torch's DataLoader and of timm's."""
    import torch

    pin = torch.cuda.is_available()
    return {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": pin}


def course_transform(size: Size, *, augmented: bool) -> Callable:
    """What the course's notebooks do: PIL images, torchvision's first transforms."""
    from torchvision import transforms as T

    steps = [
        T.Resize(sides(size)),
        T.RandomHorizontalFlip(0.5),
        T.RandomApply([T.RandomAffine(10, translate=(0.05, 0.05))], 0.5),
        T.RandomApply([T.ColorJitter(0.2, 0.2, 0.2, 0.02)], 0.5),
        T.ToTensor(),
        T.Normalize((0.5,) * 3, (0.5,) * 3),
        T.RandomErasing(0.25, scale=(0.01, 0.09)),
    ]
    return T.Compose(steps if augmented else [steps[0], *steps[4:6]])


def v2_transform(size: int) -> Callable:
    """torchvision's second transforms on uint8 tensors."""
    import torch
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.Resize((size, size)),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomApply([v2.RandomAffine(10, translate=(0.05, 0.05))], 0.5),
            v2.RandomApply([v2.ColorJitter(0.2, 0.2, 0.2, 0.02)], 0.5),
            v2.RandomErasing(0.25, scale=(0.01, 0.09)),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )


def v2_load(path: str):
    """A file as torchvision decodes it: uint8 (3, H, W)."""
    from torchvision.io import ImageReadMode, decode_image

    return decode_image(path, ImageReadMode.RGB)


if __name__ == "__main__":
    sys.exit(main())
