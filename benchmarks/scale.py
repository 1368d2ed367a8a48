"""How seconds and memory grow with images, pairs and classes.

    python -m benchmarks.scale [images] [pairs] [classes] [--most 1000000] [--json]

Each size runs in a process of its own, so that its peak of memory is its own. The exponent is the
slope of log seconds over log size by least squares: 1 is linear.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.timing import machine, parser

SIZES = {
    "images": (10_000, 100_000, 1_000_000),
    "pairs": (10_000, 100_000, 1_000_000, 10_000_000),
    "classes": (1_000, 10_000, 100_000),
}
IMAGES, DIMENSIONS, BATCH = 60_000, 512, 256


def images(count: int) -> dict[str, float]:
    """An epoch of a pack of `count` 32-pixel images that memory holds: opened, 100 batches of 256
    gathered, and the rest of the epoch taken to go on at their rate."""
    from starter.data.batches import TrainBatches
    from starter.recipe.schema.data import ShuffleSampler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack.u8"
        with path.open("wb") as file:
            file.truncate(count * 32 * 32 * 3)  # zeros are gathered as fast as pictures
        with path.open("rb") as file:  # into memory, as after a first epoch
            while file.read(1 << 26):
                pass
        start = time.perf_counter()
        image_NHWC = np.memmap(path, np.uint8, "r", shape=(count, 32, 32, 3))
        label_N = np.arange(count) % 1000
        options: dict = {"batch_size": BATCH, "sampler": ShuffleSampler(), "augment": None}
        options |= {"seed": 0, "workers": 0, "pin_memory": False}
        batches = TrainBatches(image_NHWC, label_N, np.arange(count), **options)
        iterator = batches.epoch(0)
        next(iterator)
        first = time.perf_counter() - start
        taken = 1 + sum(1 for _ in itertools.islice(iterator, 99))
        seconds = time.perf_counter() - start - first
        del iterator  # ends its thread
        batches.close()
    return {"first_batch_seconds": first, "seconds": first + seconds / taken * (count / BATCH)}


def pairs(count: int) -> dict[str, float]:
    """`count` pairs of 60,000 embeddings scored, then measured."""
    from starter.metrics import cosine, evaluate

    rng = np.random.default_rng(0)
    emb_ND = rng.standard_normal((IMAGES, DIMENSIONS), dtype=np.float32)
    a_P, b_P = rng.integers(IMAGES, size=(2, count))
    same_P = rng.random(count) < 0.5
    start = time.perf_counter()
    score_P = cosine(emb_ND, a_P, b_P)
    scored = time.perf_counter() - start
    evaluate(score_P, same_P)
    return {"score_seconds": scored, "seconds": time.perf_counter() - start}


def classes(count: int) -> dict[str, float]:
    """An ArcFace head of `count` classes: forward and backward of a batch of 256 embeddings."""
    import torch

    from starter import losses

    torch.manual_seed(0)
    head = losses.build("arcface", embedding=DIMENSIONS, classes=count)
    emb_BD = torch.randn(BATCH, DIMENSIONS, requires_grad=True)
    label_B = torch.randint(count, (BATCH,))
    times = []
    for _ in range(4):
        start = time.perf_counter()
        head(emb_BD, label_B).backward()
        times.append(time.perf_counter() - start)
    return {"seconds": min(times[1:])}


KINDS: dict[str, Callable] = {"images": images, "pairs": pairs, "classes": classes}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    command = parser("scale", __doc__)
    command.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}; all by default")
    command.add_argument("--most", type=int, default=10_000_000, help="leave out larger sizes")
    command.add_argument("--one", nargs=2, metavar=("KIND", "SIZE"), help=argparse.SUPPRESS)
    return command.parse_args(arguments)


def one(kind: str, size: int) -> dict[str, float]:
    """Measures one size in this process; memory_mb is above what a size of 1,000 took."""
    KINDS[kind](1000)  # imports, too
    before = _peak()
    measured = KINDS[kind](size)
    return {"size": size, **measured, "memory_mb": _peak() - before}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def exponent(rows: list[dict[str, float]]) -> float | None:
    """The least-squares slope of log seconds over log size, of two sizes or more."""
    if len(rows) < 2:
        return None
    size, seconds = (np.log([row[key] for row in rows]) for key in ("size", "seconds"))
    return float(np.polyfit(size, seconds, 1)[0])


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    for kind in options.kinds:
        if kind not in KINDS:
            print(f"error: no {kind!r}; there is {', '.join(KINDS)}", file=sys.stderr)
            return 2
    if options.one:
        print(json.dumps(one(options.one[0], int(options.one[1]))))
        return 0
    results: dict[str, dict] = {}
    for kind in options.kinds or KINDS:
        rows = []
        for size in (s for s in SIZES[kind] if s <= options.most):
            command = [sys.executable, "-m", "benchmarks.scale", "--one", kind, str(size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout))
        results[kind] = {"rows": rows, "exponent": exponent(rows)}
    if options.json:
        print(json.dumps(machine() | results, indent=1))
        return 0
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for kind, result in results.items():
        growth = "" if result["exponent"] is None else f": seconds ~ size^{result['exponent']:.2f}"
        print(f"{kind}{growth}")
        for row in result["rows"]:
            size = int(row.pop("size"))
            print(f"  {size:>12,}  " + "  ".join(f"{name} {v:.4g}" for name, v in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
