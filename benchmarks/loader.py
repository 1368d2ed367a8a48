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

from benchmarks.timing import add_arguments, interleaved, machine, show

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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loader",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", type=Path, help="folder of classes with pictures, else drawn")
    parser.add_argument("--images", type=int, default=2048, help="to draw (default 2048)")
    parser.add_argument("--size", type=int, default=112, help="pixels a side (default 112)")
    parser.add_argument("--batch", type=int, default=256, help="images a batch (default 256)")
    parser.add_argument("--workers", type=int, default=2, help="processes a loader (default 2)")
    add_arguments(parser)
    return parser.parse_args(arguments)


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
        from torchvision.datasets import ImageFolder

        self.root, self.options = root, options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.count = len(ImageFolder(root))
        self._open: list = []
        self._pack(scratch)

    def _pack(self, scratch: Path) -> None:
        from starter.data.decode import fit, read_image

        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        size = self.options.size
        shape = (len(files), size, size, 3)
        pack = np.memmap(scratch / "pack.u8", np.uint8, "w+", shape=shape)
        for i, path in enumerate(files):
            pack[i] = fit(read_image(path), size, 3)
        pack.flush()
        self.image_NHWC = np.memmap(scratch / "pack.u8", np.uint8, "r", shape=shape)

    def all(self) -> dict[str, tuple[Callable[[], Iterator[int]], int]]:
        """Those that are quick run several times a round."""
        size = self.options.size
        return {
            "packed": (self._kit(None), 20),
            "packed, augmented by processes": (self._kit("processes"), 2),
            "packed, augmented by a thread": (self._kit("thread"), 2),
            "timm, augmented": (self._timm(), 1),
            "torchvision v2, augmented": (self._torch(v2_transform(size), v2_load), 1),
            COURSE: (self._torch(course_transform(size, augmented=False)), 1),
            COURSE_AUGMENTED: (self._torch(course_transform(size, augmented=True)), 1),
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

    def _torch(self, transform: Callable, load: Callable | None = None):
        from torch.utils.data import DataLoader
        from torchvision.datasets import ImageFolder
        from torchvision.datasets.folder import default_loader

        dataset = ImageFolder(self.root, transform, loader=load or default_loader)
        rest = {"shuffle": True, "drop_last": True, **self._processes()}
        return self._epochs(DataLoader(dataset, self.options.batch, **rest))

    def _processes(self) -> dict[str, Any]:
        """Options of torch's DataLoader and of timm's."""
        workers, cuda = self.options.workers, self.device.type == "cuda"
        return {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": cuda}

    def _timm(self):
        from timm.data import create_dataset, create_loader

        dataset = create_dataset("", root=str(self.root), split="train", is_training=True)
        shape, cuda = (3, self.options.size, self.options.size), self.device.type == "cuda"
        augment: dict[str, Any] = {
            "scale": (0.9, 1.0),
            "ratio": (1.0, 1.0),
            "hflip": 0.5,
            "re_prob": 0.25,
        }
        augment |= {"color_jitter": 0.2, "color_jitter_prob": 0.5, "interpolation": "bilinear"}
        rest: dict[str, Any] = {"is_training": True, "use_prefetcher": cuda, "device": self.device}
        rest |= augment | self._processes()
        return self._epochs(create_loader(dataset, shape, self.options.batch, **rest))

    def _epochs(self, loader) -> Callable[[], Iterator[int]]:
        def epoch() -> Iterator[int]:
            for image_BCHW, label_B in loader:
                image_BCHW.to(self.device, non_blocking=True)
                yield len(label_B)

        return epoch

    def close(self) -> None:
        """Ends the kit's processes; those of DataLoaders end with them."""
        for batches in self._open:
            batches.close()


def course_transform(size: int, *, augmented: bool) -> Callable:
    """What the course's notebooks do: PIL images, torchvision's first transforms."""
    from torchvision import transforms as T

    steps = [
        T.Resize((size, size)),
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
