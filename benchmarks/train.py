"""Images a second of a recipe's training step: end to end, bare, timm's loop, a course-style one.

    python -m benchmarks.train                                  # faces64's first stage
    python -m benchmarks.train configs/hw2p2.yaml train.batch_size=16 --steps 4
    python -m benchmarks.train configs/hw2p2.yaml --compile     # does train.compile pay here?

The bare step is the same update on one batch of random images that lies on the device already:
the ceiling. End to end is what train.py does: batches gathered, augmented and fetched ahead, losses
read every 20 updates. All have the recipe's network, batch and image size, and augmentations like
its own; the images are the built-in competition's. `--steps` updates of each, in turns.
"""

import argparse
import contextlib
import copy
import itertools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.loader import course_transform, timm_loader, torch_loader
from benchmarks.timing import interleaved, machine, parser, show
from starter.data import Catalog, load_catalog
from starter.data.batches import Batch
from starter.data.demo import ensure_demo
from starter.hooks.base import LOG_EVERY
from starter.hooks.meters import LossMeter
from starter.recipe import Recipe, load
from starter.recipe.schema.base import sides
from starter.recipe.schema.data import DemoSection
from starter.runs.folder import StageFolder
from starter.train_stage import Model, prepare, update
from starter.training.build import build_batches
from starter.training.precision import pick_device
from starter.training.resolve import resolve
from starter.training.state import StageJob, TrainState

BARE = "bare step on resident tensors"
COMPILED = "bare step, compiled"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    command = parser("train", __doc__, rounds=3)
    command.add_argument("recipe", nargs="?", default="configs/faces64.yaml")
    command.add_argument("changes", nargs="*", metavar="key=value", help="over the recipe")
    command.add_argument("--stage", help="of the recipe (default: the first)")
    command.add_argument("--steps", type=int, default=20, help="updates a stretch (default 20)")
    command.add_argument("--workers", type=int, default=2, help="processes of the others' loaders")
    command.add_argument(
        "--compile",
        action="store_true",
        help="the bare step with torch.compile too: does train.compile pay here?",
    )
    return command.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        bench = Bench(options, Path(folder), stack)
        work = {
            "train.py, end to end": bench.kit(),
            BARE: bench.bare(),
            "timm's loop": bench.timm(),
            "course style": bench.course(),
        }
        if options.compile:
            work[COMPILED] = bench.bare(compiled=True)
        rates = interleaved(work, options.rounds, dict.fromkeys(work, BARE), pause=1.0)
    facts = machine() | {
        "recipe": options.recipe,
        "stage": bench.job.name,
        "batch": bench.batch,
        "size": bench.job.image_size,
        "steps": options.steps,
        "precision": bench.state.precision.name,
    }
    print(show("Training", "images/s", rates, facts, options.json))
    return 0


class Bench:
    """One recipe's stage, built as train.py builds it, and the other ways to train it."""

    def __init__(self, options: argparse.Namespace, folder: Path, stack: contextlib.ExitStack):
        self.options, self.folder = options, folder
        self.recipe = _on_the_built_in(resolve(load(options.recipe, options.changes)), folder)
        self.catalog: Catalog = load_catalog(self.recipe.data)
        self.job = self._job(options.stage or next(iter(self.recipe.stages)))
        image_NHWC = self.job.pack()
        self.batches = build_batches(self.job, image_NHWC)
        stack.callback(self.batches.close)
        self.state: TrainState = prepare(self.job, image_NHWC, self.batches)
        self.state.learner.set_training(backbone_frozen=False, batchnorm_frozen=False)
        self.batch = self.job.section.batch_size
        self.device = self.job.device

    def _job(self, stage: str) -> StageJob:
        recipe = self.recipe
        section = recipe.stages[stage].model_copy(update={"init": None})
        recipe = recipe.model_copy(update={"stages": {stage: section}})
        place = self.folder / "run"
        place.mkdir()
        return StageJob(stage, StageFolder(place), recipe, self.catalog, None, pick_device())

    def kit(self) -> Callable[[], int]:
        """What the page's loop does, evaluation and checkpoints apart."""
        meter = LossMeter(self.job.name)
        endless = itertools.chain.from_iterable(map(self.batches.epoch, itertools.count()))
        updates = zip(itertools.count(1), endless)

        def work() -> int:
            images = 0
            for step, batch in itertools.islice(updates, self.options.steps):
                meter.add(step, 0.0, update(self.state, batch, step - 1))
                images += len(batch.label_B)
                if step % LOG_EVERY == 0:
                    meter.end_interval()
            self._wait()
            return images

        return work

    def bare(self, *, compiled: bool = False) -> Callable[[], int]:
        """The same update, with nothing to prepare."""
        state = self.state
        if compiled:
            learner = copy.deepcopy(state.learner)
            learner.embedder.compile()
            state = replace(state, learner=learner, model=Model(learner, state.precision))
        shape = (self.batch, *sides(self.job.image_size), self.recipe.data.channels)
        image_BHWC = torch.randint(256, shape, dtype=torch.uint8, device=self.device)
        label_B = torch.randint(len(self.catalog.classes), (self.batch,), device=self.device)

        batch = Batch(image_BHWC, label_B, torch.arange(self.batch))

        def work() -> int:
            for step in range(self.options.steps):
                update(state, batch, step)
            self._wait()
            return self.options.steps * self.batch

        return work

    def timm(self) -> Callable[[], int]:
        """timm's training script in short: its loader, autocast, the loss read every update."""
        loader = self._loader(timm_loader, self.job.image_size)
        return self._loop(loader, channels_last=True, autocast=self.state.precision.autocast)

    def course(self) -> Callable[[], int]:
        """PIL images, torchvision's first transforms, float32, the loss read every update."""
        loader = self._loader(torch_loader, course_transform(self.job.image_size, augmented=True))
        return self._loop(loader, channels_last=False, autocast=contextlib.nullcontext)

    def _loader(self, make: Callable, how: Any) -> Any:
        """Over the competition's training images, a folder a class."""
        files = next(Path(self.recipe.data.root).rglob("train"))
        return make(files, how, batch=self.batch, workers=self.options.workers)

    def _loop(self, loader, *, channels_last: bool, autocast: Callable) -> Callable[[], int]:
        """The network of the recipe under a plain linear classifier, trained the plain way."""
        from torch import nn

        from starter import models

        model, data = self.recipe.model, self.recipe.data
        options = model.model_dump(exclude={"backbone", "embedding"})
        embedder = models.build(
            model.backbone,
            in_channels=data.channels,
            image_size=self.job.image_size,
            embedding=model.embedding,
            **options,
        )
        network = nn.Sequential(embedder, nn.Linear(model.embedding, len(self.catalog.classes)))
        if not channels_last:
            embedder.set_memory_format(torch.contiguous_format)
        network.to(self.device).train()
        optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=5e-4)
        criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        batches = itertools.chain.from_iterable(itertools.repeat(loader))

        def work() -> int:
            images, total = 0, 0.0
            for _ in range(self.options.steps):
                image_BCHW, label_B = next(batches)
                image_BCHW = image_BCHW.to(self.device, memory_format=layout)
                optimizer.zero_grad()
                with autocast():
                    logits_BK = network(image_BCHW)
                loss = criterion(logits_BK.float(), label_B.to(self.device))
                loss.backward()
                optimizer.step()
                total += loss.item()
                images += len(label_B)
            assert total == total, "the loss is not a number"
            return images

        return work

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _on_the_built_in(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe on a competition drawn at its image size, with enough images for its batch."""
    data = recipe.data
    used = [data.image_size, *(s.image_size or data.image_size for s in recipe.stages.values())]
    size = max(side for each in used for side in sides(each))
    demo = DemoSection(
        identities=32, verify_identities=4, images_per_identity=40, image_size=size, pairs=20
    )
    root = folder / "competition"
    ensure_demo(demo, root)
    data = data.model_copy(
        update={"layout": "hw2p2", "root": root.as_posix(), "demo": demo, "pairs": None}
    )
    return recipe.model_copy(update={"data": data})


if __name__ == "__main__":
    sys.exit(main())
