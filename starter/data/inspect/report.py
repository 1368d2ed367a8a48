"""The report of a data set: counts, sizes, faults, twins, pairs; a table and a picture of it.

Shapes: N items, K classes, T pairs of twins, P verification pairs.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from starter.data.catalog import SPLITS, Catalog, Pairs
from starter.data.decode import fit
from starter.data.inspect.pictures import BAD, THREADS, Pictures, byte_twins, look, near_twins
from starter.data.layouts import read_layout, settle
from starter.data.layouts.disk import expand_root
from starter.errors import UserError
from starter.recipe.schema.base import sides
from starter.recipe.schema.data import DataSection

SHOWN = 5  # examples of each kind of fault
MODES = {"1": "black-and-white", "L": "grey", "P": "palette"}  # in words; the JSON has PIL's names
MODES |= {"LA": "grey with alpha", "RGBA": "RGB with alpha"}
BARS = " .:-=+*#%@"
SIDE, ACROSS, GAP, MARGIN = 64, 12, 2, 116  # pixels; images in a row; the margin holds its name
APART = 8  # pixels between two pairs
GREY, GREEN, RED, ORANGE = (128, 128, 128), (0, 160, 0), (200, 0, 0), (240, 140, 0)


def inspect(data: DataSection, threads: int = THREADS) -> tuple[dict, Catalog, Pictures]:
    """What the data of a recipe is made of, as plain values, with what it was made from.

    Raises:
        UserError: no catalog can be made of it.
    """
    known, why = settle(data)
    catalog = read_layout(known)
    pictures = look(catalog, threads)
    valid_N = pictures.size_N2[:, 0] != BAD
    same_T2 = byte_twins(pictures.sum_N, valid_N)
    near_T2 = near_twins(pictures.small_NS, valid_N)
    equal = pictures.sum_N[near_T2[:, 0]] == pictures.sum_N[near_T2[:, 1]]
    report = {
        "layout": known.layout,
        "why": why,
        "root": (catalog.root or expand_root(known.root)).as_posix(),
        "images": len(catalog),
        "classes": len(catalog.classes),
        "splits": {split: len(catalog.index(split)) for split in SPLITS},
        "per_class": _per_class(catalog),
        "sizes": _sizes(pictures, valid_N),
        "fit": _fit(data, pictures.size_N2[valid_N]),
        "modes": dict(Counter(pictures.modes)),
        "undecodable": {
            "count": len(pictures.faults),
            "examples": [text for _, text in pictures.faults[:SHOWN]],
        },
        "byte_duplicates": _twins(catalog, same_T2),
        "near_duplicates": _twins(catalog, near_T2[~equal]),
        "leakage": _leakage(catalog, np.concatenate([same_T2, near_T2[~equal]])),
        "pairs": {name: _pairs(pairs) for name, pairs in catalog.pairs.items()},
    }
    if catalog.gallery is not None:
        gallery = catalog.gallery
        report["gallery"] = {
            "people": len(gallery.people),
            "known": len(gallery.known_G),
            "labelled": len(gallery.dev_Q),
            "nobody": int((gallery.answer_Q < 0).sum()),
            "unlabelled": len(gallery.test_T),
        }
    return report, catalog, pictures


def _per_class(catalog: Catalog) -> dict:
    """Train images of a class: how many at least, in the middle, at most, and a histogram."""
    label_M = catalog.label_N[catalog.index("train")]
    count_K = np.bincount(label_M, minlength=len(catalog.classes))
    number, edges = np.histogram(count_K, bins=min(10, int(np.ptp(count_K)) + 1))
    bars = zip(edges[:-1].tolist(), edges[1:].tolist(), number.tolist(), strict=True)
    return {
        "least": int(count_K.min()),
        "median": float(np.median(count_K)),
        "most": int(count_K.max()),
        "histogram": [list(bar) for bar in bars],
    }


def _sizes(pictures: Pictures, valid_N: np.ndarray) -> dict:
    """{"height x width": images}, the commonest first."""
    size_S2, count_S = np.unique(pictures.size_N2[valid_N], axis=0, return_counts=True)
    order = np.argsort(-count_S, kind="stable")
    sizes = {"{}x{}".format(*size_S2[i]): int(count_S[i]) for i in order[:SHOWN]}
    return sizes | ({"other": int(count_S[order[SHOWN:]].sum())} if len(order) > SHOWN else {})


def _fit(data: DataSection, size_M2: np.ndarray) -> dict:
    """How far the photos' shapes are from that of data.image_size, and what the fit loses.

    high, wide, square: photos. apart: how much longer one side is than it should be, for the photo
    in the middle and the most. lost: share of pixels, in the mean, that crop cuts off or that pad
    leaves black; squash loses none.
    """
    across_M2 = size_M2 * np.array(sides(data.image_size))[::-1]  # equal where the shapes are
    apart_M = across_M2.max(1) / across_M2.min(1) if len(size_M2) else np.ones(1)
    high_M, wide_M = size_M2.T
    return {
        "how": data.fit,
        "high": int((high_M > wide_M).sum()),
        "wide": int((high_M < wide_M).sum()),
        "square": int((high_M == wide_M).sum()),
        "apart": {"median": float(np.median(apart_M)), "most": float(apart_M.max())},
        "lost": 0.0 if data.fit == "squash" else float((1 - 1 / apart_M).mean()),
    }


def _twins(catalog: Catalog, twin_T2: np.ndarray) -> dict:
    """Pairs of twins: all, across two splits, across two classes, and a few examples of each."""
    known_N = catalog.label_N if catalog.identity_N is None else catalog.identity_N
    split_T2, label_T2 = catalog.split_N[twin_T2], known_N[twin_T2]
    across = split_T2[:, 0] != split_T2[:, 1]
    labels = (label_T2[:, 0] != label_T2[:, 1]) & (label_T2 >= 0).all(axis=1)

    def examples(mask: np.ndarray) -> list[list[str]]:
        return [[catalog.names[a], catalog.names[b]] for a, b in twin_T2[mask][:SHOWN]]

    return {
        "pairs": len(twin_T2),
        "across_splits": int(across.sum()),
        "across_labels": int(labels.sum()),
        "examples": examples(~across & ~labels),
        "across_splits_examples": examples(across),
        "across_labels_examples": examples(labels),
    }


def _leakage(catalog: Catalog, twin_T2: np.ndarray) -> dict:
    """What training and the verification pairs share: identities where both are known, and images
    that are twins or in both."""
    paired_N = np.zeros(len(catalog), bool)
    for pairs in catalog.pairs.values():
        paired_N[pairs.a_P] = paired_N[pairs.b_P] = True
    trained_N = catalog.split_N == SPLITS.index("train")
    crossing = trained_N[twin_T2] & paired_N[twin_T2][:, ::-1]
    shared: int | None = None
    if catalog.identity_N is not None:
        paired = catalog.identity_N[paired_N]
        shared = len(np.intersect1d(catalog.identity_N[trained_N], paired[paired >= 0]))
    return {
        "identities": shared,
        "images": int((trained_N & paired_N).sum()),
        "twins": int(crossing.any(axis=1).sum()),
    }


def _pairs(pairs: Pairs) -> dict:
    """Balance of a set of pairs, and the lowest false accept rate it can measure."""
    count = len(pairs.a_P)
    genuine = None if pairs.same_P is None else int(pairs.same_P.sum())
    impostor = None if genuine is None else count - genuine
    lowest = 1 / impostor if impostor else None
    return {"pairs": count, "genuine": genuine, "impostor": impostor, "lowest_far": lowest}


def table(report: dict) -> str:
    """The report as a person reads it."""
    lines = [
        ("layout", report["why"]),
        ("root", report["root"]),
        ("images", f"{report['images']}: " + _list(report["splits"])),
        ("classes", _classes(report)),
        ("sizes", _list(report["sizes"])),
        ("fit", _fitted(report["fit"])),
        ("modes", _list({MODES.get(k, k): n for k, n in report["modes"].items()})),
        ("undecodable", str(report["undecodable"]["count"])),
        *(("", text) for text in report["undecodable"]["examples"]),
    ]
    for key, name, sign in (("byte", "equal bytes", "="), ("near", "near twins", "~")):
        twins = report[f"{key}_duplicates"]
        text = "{pairs} pairs, {across_splits} across splits, {across_labels} across labels"
        lines.append((name, text.format(**twins)))
        lines += [
            ("", f"across {which}: {a} {sign} {b}")
            for which in ("splits", "labels")
            for a, b in twins[f"across_{which}_examples"]
        ]
    lines.append(("leakage", _leak(report)))
    for name, pairs in report["pairs"].items():
        text = "{pairs}, unlabelled"
        if pairs["genuine"] is not None:
            text = "{pairs}: {genuine} genuine, {impostor} impostor"
            text += "; no FAR below {lowest_far:.2g} can be measured" if pairs["lowest_far"] else ""
        lines.append((f"{name} pairs", text.format(**pairs)))
    if "gallery" in report:
        lines.append(("1:N", _list(report["gallery"])))
    return "\n".join(f"{name:<12} {text}" for name, text in lines)


def _list(counts: dict) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _fitted(fit: dict) -> str:
    apart, share = fit["apart"], f"{100 * fit['lost']:.0f} % of the pixels"
    photos = ", ".join(f"{fit[key]} {key}" for key in ("high", "wide", "square") if fit[key])
    loss = {
        "squash": f"one side is stretched {apart['median']:.2f} times in the median, "
        f"{apart['most']:.2f} at most (pad and crop keep the shape)",
        "pad": f"{share} are black",
        "crop": f"{share} are cut off",
    }
    return (
        f"{photos}; {fit['how']}: {'nothing is lost' if apart['most'] == 1 else loss[fit['how']]}"
    )


def _leak(report: dict) -> str:
    if not report["pairs"]:
        return "no pairs to leak into"
    known = report["leakage"]["identities"] is not None
    text = "{identities} identities, {images} images, {twins} twins"
    if not known:
        text = "{images} images, {twins} twins (the set names no identities)"
    return f"training and pairs share {text.format(**report['leakage'])}"


def _classes(report: dict) -> str:
    least, median, most, histogram = report["per_class"].values()
    if least == most:
        return f"{report['classes']}, each of {least} train images"
    highest = max(n for *_, n in histogram)
    bars = "".join(BARS[-(-(len(BARS) - 1) * n // highest)] for *_, n in histogram)
    return (
        f"{report['classes']}, of {least} to {most} train images, median {median:g}; "
        f"so many have: {least} [{bars}] {most}"
    )


def draw(catalog: Catalog, path: Path, report: dict, seed: int = 0) -> None:
    """Writes a png: a row for each split, then rows of pairs (genuine green, impostor red), then
    near twins across splits and across labels (orange), as the report names them.

    Raises:
        OSError: it cannot be written.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for split in SPLITS:
        items = catalog.index(split)
        if len(items):
            chosen = rng.choice(items, min(ACROSS, len(items)), replace=False)
            rows.append(_row(catalog, f"{split} {len(items)}", np.sort(chosen), GREY, 1))
    for name, pairs in catalog.pairs.items():
        if pairs.same_P is None:
            continue
        for same, word, colour in ((True, "same", GREEN), (False, "different", RED)):
            chosen = rng.permutation(np.flatnonzero(pairs.same_P == same))[: ACROSS // 2]
            items = np.stack([pairs.a_P[chosen], pairs.b_P[chosen]], axis=1).ravel()
            rows.append(_row(catalog, f"{name}: {word}", items, colour, 2))
    for where in ("splits", "labels"):
        named = report["near_duplicates"][f"across_{where}_examples"]
        if named:
            index = {name: i for i, name in enumerate(catalog.names)}
            items = np.array([index[name] for pair in named for name in pair])
            rows.append(_row(catalog, f"twins, {where}", items, ORANGE, 2))
    Image.fromarray(np.concatenate(rows)).save(path, "png")


def _row(catalog: Catalog, name: str, items, colour: Sequence[int], group: int) -> np.ndarray:
    """Its name, then images side by side on a ground of that colour, `group` of them close
    together; a cross where one cannot be read."""
    side = SIDE + 2 * GAP
    row = np.full((side, MARGIN + side * ACROSS + APART * (ACROSS // 2), 3), 255, np.uint8)
    font, black = cv2.FONT_HERSHEY_SIMPLEX, (0, 0, 0)
    cv2.putText(row, name, (4, side // 2 + 4), font, 0.42, black, 1, cv2.LINE_AA)
    for k, i in enumerate(items):
        left = MARGIN + k * side + (APART * (k // group) if group > 1 else 0)
        cell = row[:, left : left + side]
        cell[:] = colour
        try:
            cell[GAP:-GAP, GAP:-GAP] = fit(catalog.image(int(i)), SIDE, 3)
        except UserError:
            cell[GAP:-GAP, GAP:-GAP] = 255 * np.eye(SIDE, dtype=np.uint8)[..., None]
    return row
