"""A folder -> the recipe it would use, each value with its reason; what `train.py FOLDER` trains.

Nothing is tried: what is proposed follows from counts, sizes and names.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.data import Catalog
from starter.data.layouts import read_layout, settle
from starter.distributed import cores, main_does
from starter.files import write_text
from starter.recipe.schema.data import DataSection
from starter.runs.folder import RunFolder
from starter.submission import read_sample

LOOKED_AT = 300  # images, spread over the set, by which sizes and colours are judged
MINUTES = 20  # of training on a machine without a GPU
PURE = 0.98  # groups of a column whose images are all of one class, for it to be split by
UNEVEN = 10  # times as many images in the largest class as in the smallest: draws are balanced
Lines = list[tuple[str, str]]  # a line of YAML, and why it is so


@dataclass(frozen=True)
class Looks:
    """What a sample of the images is like: the commonest (height, width), the share that has it,
    the commonest height / width to a tenth, the median of the longer sides, whether any is
    coloured."""

    size: tuple[int, int]
    share: float
    aspect: float
    median: int
    coloured: bool


def propose_into(folder: Path, changes: Sequence[str]) -> tuple[Path, str]:
    """The recipe for a folder, written to `runs/<name>/proposed.yaml` unless it is there already.

    Args:
        changes: `key=value` of the command line, of which `name` and `runs` say where.
    Returns:
        Its path and text.
    """
    given = dict(change.split("=", 1) for change in changes if "=" in change)
    name = given.get("name") or run_name(folder)
    path = RunFolder(Path(given.get("runs", "runs")) / name).proposed

    def work() -> str:
        if not path.is_file():
            text = propose(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
        return path.read_text(encoding="utf-8")

    return path, main_does(work)


def run_name(folder: Path) -> str:
    """The folder's name as a run may be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._") or "run"


def propose(folder: Path, name: str) -> str:
    """YAML with a reason beside each value that is no default.

    Raises:
        UserError: no layout fits the folder, or its data cannot be read.
    """
    data = {"layout": "auto", "root": str(folder), "split": {"dev": 0}}
    settled, why = settle(DataSection.model_validate(data))
    catalog = read_layout(settled)
    looks = look(catalog)
    by_pairs = "test" in catalog.pairs
    lines: Lines = [
        ("# Proposed by the kit from what lies in the folder; change what you know better.", ""),
        (f"name: {_quoted(name)}", ""),
        *_data(catalog, settled, why, looks, by_pairs),
        *_augment(),
        *_training(catalog, looks, by_pairs),
        *_submission(catalog),
    ]
    width = max(len(line) for line, reason in lines if reason and len(line) < 72)
    return "".join(
        f"{line:<{width}}  # {reason}\n" if reason else f"{line}\n" for line, reason in lines
    )


def look(catalog: Catalog) -> Looks:
    """Decodes some of the images, evenly spread."""
    index = np.unique(np.linspace(0, len(catalog) - 1, min(LOOKED_AT, len(catalog))).astype(int))
    sizes, coloured = [], False
    for i in index:
        image_HWC = catalog.image(int(i))
        sizes.append(image_HWC.shape[:2])
        coloured = coloured or bool((np.ptp(image_HWC, axis=2) > 0).any())
    size, count = Counter(sizes).most_common(1)[0]
    median = int(np.median([max(size) for size in sizes]))
    aspect = Counter(round(high / wide, 1) for high, wide in sizes).most_common(1)[0][0]
    return Looks(size, count / len(sizes), aspect, median, coloured)


def _data(catalog: Catalog, settled: DataSection, why: str, looks: Looks, by_pairs: bool) -> Lines:
    pixels, reason = image_size(looks)
    lines: Lines = [
        ("data:", ""),
        (f"  layout: {settled.layout}", why.partition(" at ")[0]),
        (f"  root: {_quoted(str(Path(settled.root).resolve()))}", ""),
        (f"  image_size: {pixels}", reason),
    ]
    if looks.aspect != 1:
        reason = f"most are {looks.aspect:g} times as high as wide: black fills up the square"
        lines.append(("  fit: pad", reason))
    colour = "some images are coloured" if looks.coloured else "no image is coloured"
    lines.append((f"  channels: {3 if looks.coloured else 1}", colour))
    if not len(catalog.index("dev")):
        column, reason = group_column(catalog)
        by = "" if column is None else f", by: stratified_group, column: {_quoted(column)}"
        lines.append((f"  split: {{dev: 0.1{by}}}", reason))
    if by_pairs and "val" not in catalog.pairs:
        reason = "pairs are asked for and none is labelled: some classes verify"
        lines.append(("  pairs: {hold_out: 0.1}", reason))
    return lines


def image_size(looks: Looks) -> tuple[int, str]:
    """Pixels a side to train at, and why."""
    height, width = looks.size
    longest = max(height, width) if looks.share == 1 else looks.median
    said = f"{height} x {width}" if looks.share == 1 else f"about {longest} pixels long"
    most = 224 if _gpu() else 64
    pixels = min(max(32, longest), most)
    limit = f"; more than {most} is slow {'even with' if _gpu() else 'without'} a GPU"
    return pixels, f"images are {said}{limit if longest > most else ''}"


def group_column(catalog: Catalog) -> tuple[str | None, str]:
    """The column whose groups should not be split between train and dev, and why.

    Rows of a group are of one class, and there are more groups than classes: frames of a track,
    photos of a burst, visits of a patient. Of several, the one with the largest groups.
    """
    train_M = catalog.index("train")
    label_M, best, found = catalog.label_N[train_M], 1.0, None
    for name, cells in catalog.columns.items():
        group_M = np.unique([cells[i] for i in train_M], return_inverse=True)[1]
        groups = group_M.max() + 1
        kinds = len(np.unique(np.stack([group_M, label_M]), axis=1).T)
        pure = groups / kinds
        if groups > 2 * len(catalog.classes) and pure >= PURE and len(train_M) / groups > best:
            best, found = len(train_M) / groups, name
    if found is None:
        return None, "a tenth of each class validates"
    return found, f"{best:.0f} images share a {found}: they stay on one side"


def _augment() -> Lines:
    return [
        ("augment:", "add HorizontalFlip where a mirrored image is of the same class"),
        (
            "  - {kind: Affine, rotate: [-10, 10], scale: [0.9, 1.1], "
            "translate_percent: [-0.06, 0.06], border_mode: 2, p: 0.8}",
            "",
        ),
        (
            "  - {kind: ColorJitter, brightness: [0.7, 1.3], contrast: [0.7, 1.3], "
            "saturation: [0.7, 1.3], hue: [-0.02, 0.02], p: 0.8}",
            "",
        ),
    ]


def _training(catalog: Catalog, looks: Looks, by_pairs: bool) -> Lines:
    count, pixels = len(catalog.index("train")), image_size(looks)[0]
    backbone = "resnet18_small" if pixels <= 40 or _gpu() else "resnet10_small"
    stem = ", stem: 3x3/2" if pixels > 40 else ""
    batch = 32 if count < 2000 else 64 if count < 8000 else 128
    monitor, reason = asked_metric(catalog, by_pairs)
    where = "a GPU" if _gpu() else f"{cores()} cores without a GPU"
    head = "normface, scale: 16" if by_pairs else "softmax"
    why = "cosines of the embedding are trained, as pairs are scored by them" if by_pairs else ""
    return [
        (
            f"model: {{backbone: {backbone}, embedding: 256{stem}}}",
            f"{count} images of {pixels} pixels on {where}",
        ),
        ("train:", ""),
        (f"  batch_size: {batch}", f"{count // batch} updates an epoch"),
        (f"  minutes: {MINUTES}", "as many epochs as fit"),
        *_sampler(catalog),
        ("  ema: 0.999", ""),
        (f"  monitor: {monitor}", reason),
        ("stages:", ""),
        ("  classify:", ""),
        (f"    loss: [{{kind: {head}, label_smoothing: 0.1}}]", why),
        ("    optimizer: {kind: sgd, lr: 0.1, weight_decay: 5.0e-4}", ""),
        ("    schedule: {warmup_epochs: 1}", ""),
    ]


def _sampler(catalog: Catalog) -> Lines:
    """Rare classes are shown more often where classes differ much; else nothing is said."""
    size_C = np.unique(catalog.label_N[catalog.index("train")], return_counts=True)[1]
    if size_C.max() < UNEVEN * size_C.min():
        return []
    reason = f"the largest class has {size_C.max()} images, the smallest {size_C.min()}"
    return [("  sampler: {kind: balanced, power: 0.5}", reason)]


def asked_metric(catalog: Catalog, by_pairs: bool) -> tuple[str, str]:
    """What the best weights are chosen by, and why."""
    if by_pairs:
        if len(catalog.index("test")):
            return "combined", "classes and pairs are asked for"
        return "eer", "pairs are asked for"
    if not catalog.samples:
        return "accuracy", "there is no sample submission that asks for more"
    sample = read_sample(catalog.samples[0])
    words = max(len(row[1].split()) for row in sample.rows)
    if len(sample.header) > 2:
        return "log_loss", f"{sample.path.name} asks for a probability a class"
    if words > 1:
        return f"map_at_{words}", f"{sample.path.name} asks for {words} classes, best first"
    return "accuracy", f"{sample.path.name} asks for one class"


def _submission(catalog: Catalog) -> Lines:
    if not catalog.samples:
        if not len(catalog.index("test")):
            return []
        return [("submission: {format: classification}", "no sample lies in the folder")]
    first, *others = catalog.samples
    reason = f"also there: {', '.join(path.name for path in others)}" if others else ""
    return [(f"submission: {{sample: {_quoted(first.name)}}}", reason)]


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _quoted(text: str) -> str:
    """As YAML reads it back: text stays text."""
    return text if re.fullmatch(r"[A-Za-z_/][A-Za-z0-9_./-]*", text) else json.dumps(text)
