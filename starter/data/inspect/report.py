"""The report of a data set: counts, sizes, faults, twins, pairs, and a table of it for people.

Shapes: N items, K classes, T pairs of twins, P verification pairs.
"""

import numpy as np

from starter.data.catalog import SPLITS, Catalog, Pairs
from starter.data.inspect.pictures import BAD, THREADS, Pictures, look
from starter.data.inspect.twins import byte_twins, near_twins
from starter.data.layouts import READERS, settle
from starter.data.layouts.disk import expand_root
from starter.recipe.schema.data import DataSection

SHOWN = 5  # examples of each kind of fault
MODES = {
    "1": "black-and-white",
    "L": "grey",
    "P": "palette",
    "LA": "grey with alpha",
    "RGBA": "RGB with alpha",
}  # in words; the JSON has PIL's names
BARS = " .:-=+*#%@"


def inspect(data: DataSection, threads: int = THREADS) -> tuple[dict, Catalog, Pictures]:
    """What the data of a recipe is made of, as plain values, with what it was made from.

    Raises:
        UserError: no catalog can be made of it.
    """
    known, why = settle(data)
    catalog = READERS[known.layout](known)
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
        "modes": _counted(pictures.modes, pictures.mode_N[valid_N]),
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
    bars = [
        [float(low), float(high), int(n)]
        for low, high, n in zip(edges[:-1], edges[1:], number, strict=True)
    ]
    return {
        "least": int(count_K.min()),
        "median": float(np.median(count_K)),
        "most": int(count_K.max()),
        "histogram": bars,
    }


def _sizes(pictures: Pictures, valid_N: np.ndarray) -> dict:
    """{"height x width": images}, the commonest first."""
    found, count = np.unique(pictures.size_N2[valid_N], axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")
    return {f"{found[i, 0]}x{found[i, 1]}": int(count[i]) for i in order[:SHOWN]} | (
        {"other": int(count[order[SHOWN:]].sum())} if len(order) > SHOWN else {}
    )


def _counted(names: list[str], index_M: np.ndarray) -> dict:
    count = np.bincount(index_M, minlength=len(names))
    return {name: int(n) for name, n in zip(names, count, strict=True)}


def _twins(catalog: Catalog, twin_T2: np.ndarray) -> dict:
    """Pairs of twins: all, across two splits, across two classes, and a few examples of each."""
    split_T2, label_T2 = catalog.split_N[twin_T2], catalog.label_N[twin_T2]
    if catalog.identity_N is not None:
        label_T2 = catalog.identity_N[twin_T2]
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
    """Balance of a set of pairs, and the lowest false accept rate it can tell from none."""
    if pairs.same_P is None:
        return {"pairs": len(pairs.a_P), "genuine": None, "impostor": None, "lowest_far": None}
    genuine = int(pairs.same_P.sum())
    impostor = len(pairs.same_P) - genuine
    return {
        "pairs": len(pairs.a_P),
        "genuine": genuine,
        "impostor": impostor,
        "lowest_far": 1 / impostor if impostor else None,
    }


def table(report: dict) -> str:
    """The report as a person reads it."""
    lines = [
        ("layout", report["why"]),
        ("root", report["root"]),
        ("images", f"{report['images']}: " + _list(report["splits"])),
        ("classes", _classes(report)),
        ("sizes", _list(report["sizes"])),
        ("modes", _list({MODES.get(k, k): n for k, n in report["modes"].items()})),
    ]
    bad = report["undecodable"]
    lines.append(("undecodable", str(bad["count"])))
    lines += [("", text) for text in bad["examples"]]
    for key, name, sign in (
        ("byte_duplicates", "equal bytes", "="),
        ("near_duplicates", "near twins", "~"),
    ):
        found = report[key]
        lines.append(
            (
                name,
                f"{found['pairs']} pairs, {found['across_splits']} across splits, "
                f"{found['across_labels']} across labels",
            )
        )
        lines += [
            ("", f"across {which}: {a} {sign} {b}")
            for which in ("splits", "labels")
            for a, b in found[f"across_{which}_examples"]
        ]
    lines.append(("leakage", _leak(report)))
    for name, found in report["pairs"].items():
        text = f"{found['pairs']}, unlabelled"
        if found["genuine"] is not None:
            text = f"{found['pairs']}: {found['genuine']} genuine, {found['impostor']} impostor"
            if found["lowest_far"] is not None:
                text += f"; no FAR below {found['lowest_far']:.2g} can be told"
        lines.append((f"{name} pairs", text))
    if "gallery" in report:
        lines.append(("1:N", _list(report["gallery"])))
    return "\n".join(f"{name:<12} {text}" for name, text in lines)


def _list(counts: dict) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _leak(report: dict) -> str:
    leak = report["leakage"]
    if not report["pairs"]:
        return "no pairs to leak into"
    known = "" if leak["identities"] is None else f"{leak['identities']} identities, "
    end = " (the set does not tell identities)" if leak["identities"] is None else ""
    return f"training and pairs share {known}{leak['images']} images, {leak['twins']} twins{end}"


def _classes(report: dict) -> str:
    found = report["per_class"]
    if found["least"] == found["most"]:
        return f"{report['classes']}, each of {found['least']} train images"
    highest = max(n for *_, n in found["histogram"])
    bars = "".join(BARS[-(-(len(BARS) - 1) * n // highest)] for *_, n in found["histogram"])
    least, most = found["least"], found["most"]
    return (
        f"{report['classes']}, of {least} to {most} train images, median "
        f"{found['median']:g}; so many have: {least} [{bars}] {most}"
    )
