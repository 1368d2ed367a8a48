"""Figures of images, classes and angles, from what a stage kept (hooks/report.py).

Each takes arrays as they were kept and returns (figure, caption). Shapes: M images, K classes.
"""

from typing import Any

import numpy as np

from starter.report import drawing
from starter.report.drawing import WIDTH, Drawn, both_ends, colour, new_axes, new_figure
from starter.report.read import Arrays

CONFUSED = 10  # classes in the table of confusions
PAIRS_PER_ROW, IMAGES_PER_ROW = 3, 4
TSNE_LEAST = 12  # points: fewer say nothing
SEED = 0
PAIR_KINDS = {
    "genuine": "The same identity, yet the lowest scores: pose, light, blur, or a wrong label.",
    "impostor": "Different identities, yet the highest scores: look-alikes, or two labels of one.",
}
ANGLES = {
    "train_own": "train, own class",
    "dev_own": "dev, own class",
    "dev_other": "dev, nearest other class",
    "nearest": "class to nearest class",
    "between": "class to class",
}


def confusion(kept: Arrays) -> Drawn | None:
    """The classes with the most mistakes against each other, with precision, recall and F1."""
    from sklearn.metrics import confusion_matrix

    classes = kept["classes"]
    if not len(kept.get("dev_label", ())):
        return None
    label_M, predicted_M = kept["dev_label"], kept["dev_predicted"]
    rows = most_confused(label_M, predicted_M, len(classes))
    size = len(rows)
    count = confusion_matrix(label_M, predicted_M, labels=rows)
    ax = new_axes(height=0.31 * size + 1.5)
    ax.grid(False)
    for i, j in np.argwhere(count):
        tone = colour(2 if i == j else 1)
        drawing.cell(ax, j, i, tone, 0.15 + 0.7 * count[i, j] / count.max())
        drawing.write(ax, j, i, str(count[i, j]))
    means = []
    scores = class_scores(label_M, predicted_M, len(classes))
    for column, (title, value_K) in enumerate(scores.items()):
        x = size + 0.55 + 1.75 * column
        drawing.write(ax, x, -0.75, title, va="bottom", rotation=45)
        for i, k in enumerate(rows):
            drawing.write(ax, x, i, "-" if np.isnan(value_K[k]) else f"{100 * value_K[k]:.0f}")
        means.append(f"{title} {100 * np.nanmean(value_K):.1f} %")
    names = [both_ends(str(classes[k]), 12) for k in rows]
    ax.set(xlim=(-0.5, size + 5), ylim=(size - 0.5, -0.5), ylabel="true class")
    ax.set_xticks(range(size), names, rotation=90, fontsize=8)
    ax.set_yticks(range(size), names, fontsize=8)
    ax.set_xlabel("predicted", loc="left")
    ax.spines[["left", "bottom"]].set_visible(False)
    return ax.figure, (
        f"The {size} classes of {len(classes):,} with the most mistakes: images counted, and each "
        f"class's precision, recall and F1 in percent over all classes. "
        f"{int((label_M != predicted_M).sum()):,} of {len(label_M):,} dev images are wrong. "
        f"Averaged over classes: {', '.join(means)}."
    )


def most_confused(label_M: np.ndarray, predicted_M: np.ndarray, classes: int) -> list[int]:
    """Classes in the most mistakes, as the true one or the predicted one, neighbours together."""
    wrong_M = label_M != predicted_M
    either = np.concatenate([label_M[wrong_M], predicted_M[wrong_M]])
    mistakes_K = np.bincount(either, minlength=classes)
    present_K = np.bincount(label_M, minlength=classes) > 0
    order = np.lexsort((~present_K, -mistakes_K))[:CONFUSED]
    return sorted(int(k) for k in order if mistakes_K[k] or present_K[k])


def class_scores(label_M, predicted_M, classes: int) -> dict[str, np.ndarray]:
    """precision_K, recall_K, F1_K as fractions; NaN for a class without images.

    A class that is never predicted has precision 0.
    """
    from sklearn.metrics import precision_recall_fscore_support

    options = {"labels": range(classes), "zero_division": 0}
    *scores, count_K = precision_recall_fscore_support(label_M, predicted_M, **options)
    present_K = np.where(count_K > 0, 1.0, np.nan)
    named = zip(("precision", "recall", "F1"), scores, strict=True)
    return {name: value_K * present_K for name, value_K in named}


def pairs(kept: Arrays, kind: str, threshold: float | None) -> Drawn | None:
    """Both images of the hardest pairs of a kind, with their scores."""
    score_P = kept[f"{kind}_score"]
    if not len(score_P):
        return None
    titles = [f"{score:.3f}" for score in score_P]
    figure = _beside(kept[f"{kind}_a"], kept[f"{kind}_b"], titles)
    at = "" if threshold is None else f" The threshold of the EER is {threshold:.3f}."
    return figure, PAIR_KINDS[kind] + at


def worst_images(kept: Arrays) -> Drawn | None:
    """Dev images with the highest loss: what they are and what was predicted."""
    if not len(kept["image"]):
        return None
    titles = [
        f"{both_ends(str(label), 11)}\n→ {'right' if label == said else both_ends(str(said), 9)}"
        for label, said in zip(kept["label"], kept["predicted"], strict=True)
    ]
    first, last = float(kept["loss"][0]), float(kept["loss"][-1])
    return _gallery(kept["image"], titles, IMAGES_PER_ROW, 1.0), (
        f"Dev images with the highest loss ({first:.2f} down to {last:.2f}), the true class above "
        "the predicted one."
    )


def augmented(kept: Arrays) -> Drawn | None:
    """The stage's first images, before and after augmentation."""
    if not len(kept["seen"]):
        return None
    titles = [both_ends(str(name), 12) for name in kept["name"]]
    figure = _beside(kept["before"], kept["seen"], titles)
    if np.array_equal(kept["before"], kept["seen"]):
        return figure, "The first images, twice: nothing augments them before they are mixed."
    return figure, (
        "The first images of the stage: on the left as they are, on the right exactly as the "
        "network saw them, before any mixing with each other."
    )


def _beside(left_MHWC: np.ndarray, right_MHWC: np.ndarray, titles: list[str]):
    return _gallery(np.concatenate([left_MHWC, right_MHWC], axis=2), titles, PAIRS_PER_ROW, 0.5)


def _gallery(image_MHWC: np.ndarray, titles: list[str], per_row: int, aspect: float):
    """Images in rows, each under its title."""
    rows = -(-len(image_MHWC) // per_row)
    lines = max(title.count("\n") for title in titles) + 1
    cell = (WIDTH - 0.2) / per_row
    figure = new_figure(height=rows * (cell * aspect + 0.04 + 0.16 * lines) + 0.1)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.02, hspace=0, wspace=0)
    axes = figure.subplots(rows, per_row, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image_HWC, title in zip(axes.flat, image_MHWC, titles, strict=False):
        rgb_HWC = np.broadcast_to(image_HWC, (*image_HWC.shape[:2], 3))  # grey ones too
        ax.imshow(rgb_HWC, interpolation="nearest")
        ax.set_title(title, fontsize=8, pad=2)
    return figure


def embedding_map(kept: Arrays) -> Drawn | None:
    """A few classes in two dimensions: t-SNE of the principal components, or as they are."""
    emb_MD, name_M = kept["emb"], kept["name"]
    if len(emb_MD) < TSNE_LEAST or not np.isfinite(emb_MD).all():
        return None
    flat = emb_MD.shape[1] == 2
    point_M2 = emb_MD if flat else project(emb_MD)
    ax = new_axes(height=4.2)
    names = list(dict.fromkeys(name_M.tolist()))
    for i, name in enumerate(names):
        dots: Any = {"marker": "os^Dv"[i // 12 % 5], "s": 14, "linewidths": 0, "alpha": 0.85}
        label = both_ends(str(name), 12)
        ax.scatter(*point_M2[name_M == name].T, color=colour(i), label=label, **dots)
    if flat:
        ax.set_aspect("equal", "datalim")
    else:
        ax.set(xticks=[], yticks=[])
    if len(names) <= 12:
        below: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1 if flat else -0.03)}
        spacing: Any = {"handletextpad": 0.1, "columnspacing": 0.8, "markerscale": 1.3}
        ax.legend(ncols=3, fontsize=8, **below, **spacing)
    shown = f"{len(emb_MD)} dev images of {len(names)} classes, "
    if flat:
        return ax.figure, f"{shown}2-D embeddings as they are."
    return ax.figure, (
        f"{shown}t-SNE of their principal components. Distances between far groups mean little; "
        "groups that touch are classes that are confused."
    )


def project(emb_MD: np.ndarray) -> np.ndarray:
    """point_M2: directions of the embeddings, PCA to 30, then t-SNE, always the same."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import normalize

    count, dimension = emb_MD.shape
    components = min(30, count - 1, dimension)
    few_M = PCA(components, random_state=SEED).fit_transform(normalize(emb_MD))
    if few_M.std() < 1e-9:  # all in one place
        return few_M[:, :2] if few_M.shape[1] > 1 else np.repeat(few_M, 2, axis=1)
    perplexity = min(20, (count - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", max_iter=500, random_state=SEED)
    return model.fit_transform(few_M)


def target_angles(own_by_step: dict[int, np.ndarray]) -> Drawn | None:
    """The angle of dev images to their own class: early, midway, late (ArcFace's figure 7)."""
    steps = sorted(own_by_step)
    if not steps:
        return None
    chosen = sorted({steps[round(i * (len(steps) - 1) / 3)] for i in range(4)})
    figure, _ = _angles({f"update {step:,}": own_by_step[step] for step in chosen})
    first, last = _median(own_by_step[steps[0]]), _median(own_by_step[steps[-1]])
    return figure, (
        "Angles of dev images to the weights of their own class. A margin pulls them towards 0. "
        f"Median {first:.0f}° at the first evaluation, {last:.0f}° at the last."
    )


def class_angles(kept: Arrays) -> Drawn | None:
    """Angles of images to their own and the nearest other class, and between classes."""
    counts = {text: kept[name] for name, text in ANGLES.items() if name in kept}
    counts = {text: count for text, count in counts.items() if count.sum()}
    if not counts:
        return None
    figure, medians = _angles(counts)
    return figure, (
        f"Angles at the best checkpoint, by {kept.get('by', 'class weights')}. The further an "
        "image's own class lies below its nearest other class, the better; train far below dev is "
        f"overfitting. Medians: {medians}."
    )


def _angles(counts: dict[str, np.ndarray]):
    """Counts per degree as outlines, a colour each, and their medians in words."""
    ax = new_axes()
    for i, (label, count) in enumerate(counts.items()):
        share = 100 * np.add.reduceat(count, range(0, 180, 3)) / max(count.sum(), 1)
        ax.stairs(share, np.arange(0, 181, 3), color=colour(i), label=label, linewidth=1.5)
    ax.set(xlim=(0, 180), xticks=range(0, 181, 30), xlabel="angle (degrees)")
    ax.set(ylabel="share per 3 degrees (%)", ylim=(0, 1.1 * ax.get_ylim()[1]))
    ax.legend(loc="upper right")
    return ax.figure, "; ".join(f"{label} {_median(n):.0f}°" for label, n in counts.items())


def _median(count: np.ndarray) -> float:
    return float(np.searchsorted(np.cumsum(count), count.sum() / 2) + 0.5)
