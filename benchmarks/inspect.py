"""Time and memory of `python -m starter.data inspect` on a set as large as HW2P2.

    python -m benchmarks.inspect --folder /tmp/many            430,000 JPEG files, then inspect
    python -m benchmarks.inspect --folder /tmp/many --keep     and leave the files there

The files are small, different from each other and laid out as HW2P2 of 2026. Prints JSON: seconds,
the largest resident memory of the inspecting process, and what else the machine was doing.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.timing import parser
from starter.distributed import cores

CLASSES = 8631
SHARES = {"train": 0.80, "dev": 0.09, "test": 0.09}  # the rest is ver_data
PAIRS = 1000


def write_images(folder: Path, names: list[str], rng: np.random.Generator, size: int) -> None:
    """Smooth pictures, each its own, as photographs are: 5x5 random colours, interpolated."""
    folder.mkdir(parents=True)
    for name in names:
        coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
        written = cv2.imwrite(str(folder / name), image)
        assert written


def build(root: Path, files: int, size: int) -> None:
    """cls_data with labels.txt, ver_data and both pair files."""
    rng = np.random.default_rng(0)
    classes = min(CLASSES, int(SHARES["dev"] * files))
    left = files
    for split, share in SHARES.items():
        count = int(share * files)
        left -= count
        names = [f"{split}_{i:06d}.jpg" for i in range(count)]
        write_images(root / "cls_data" / split / "images", names, rng, size)
        if split != "test":
            lines = [f"{name} {i % classes}\n" for i, name in enumerate(names)]
            (root / "cls_data" / split / "labels.txt").write_text("".join(lines))
    names = [f"{i:08d}.jpg" for i in range(left)]
    write_images(root / "ver_data", names, rng, size)
    for file, end in (("val_pairs.txt", True), ("test_pairs.txt", False)):
        rows = [
            [names[(2 * p) % left], names[(2 * p + 1) % left]] + [str(p % 2)] * end
            for p in range(min(PAIRS, left // 2) if end else left // 2)
        ]
        (root / file).write_text("".join(" ".join(row) + "\n" for row in rows))


def measure(root: Path) -> dict:
    """Inspects in a process of its own, as a user does; seconds and MiB."""
    load = os.getloadavg()[0]
    start = time.perf_counter()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "starter.data",
            "inspect",
            "configs/hw2p2.yaml",
            f"data.root={root}",
            "--json",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    return {
        "images": report["images"],
        "undecodable": report["undecodable"]["count"],
        "near_duplicates": report["near_duplicates"]["pairs"],
        "seconds": round(seconds, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "memory_mib": round(used.ru_maxrss / 1024),
        "cores": cores(),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }


def main(arguments: list[str] | None = None) -> int:
    command = parser("inspect", __doc__)
    command.add_argument("--folder", type=Path, required=True, help="where the files go")
    command.add_argument("--files", type=int, default=430_000)
    command.add_argument("--size", type=int, default=32, help="pixels a side")
    command.add_argument("--keep", action="store_true", help="leave the files, for another run")
    options = command.parse_args(arguments)
    root = options.folder / f"{options.files}x{options.size}"
    if not root.exists():
        beside = root.with_suffix(".part")
        shutil.rmtree(beside, ignore_errors=True)
        build(beside, options.files, options.size)
        beside.rename(root)
    print(json.dumps(measure(root) | {"pixels": options.size}, indent=1))
    if not options.keep:
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
