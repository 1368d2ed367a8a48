"""Figures of images, classes and angles, from what a stage kept (training/shown.py).

Each takes arrays as they were kept and returns (figure, caption). Shapes: M images, K classes.
"""

from typing import TYPE_CHECKING

import numpy as np

from starter.report.plots import Drawn, both_ends, legend
from starter.report.read import Arrays
from starter.report.style import WIDTH, colour, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONFUSED = 10  # classes in the table of confusions
PER_ROW = {"pairs": 3, "images": 4}
TSNE_LEAST = 12  # points: fewer say nothing
SEED = 0


def confusion(classes: np.ndarray, label_M: np.ndarray, predicted_M: np.ndarray) -> Drawn:
    """The classes with the most mistakes against each other, with precision, recall and F1."""
    rows = most_confused(label_M, predicted_M, len(classes))
    place = {k: i for i, k in enumerate(rows)}
    count = np.zeros((len(rows), len(rows)), int)
    for label, predicted in zip(label_M.tolist(), predicted_M.tolist(), strict=True):
        if label in place and predicted in place:
            count[place[label], place[predicted]] += 1
    scores = class_scores(label_M, predicted_M, len(classes))
    names = [both_ends(str(classes[k]), 12) for k in rows]
    size = len(rows)
    ax = new_axes(height=0.31 * size + 1.5)
    ax.grid(False)
    for i, j in np.ndindex(size, size):
        if count[i, j]:
            share = count[i, j] / count.max()
            ax.add_patch(_square(j, i, colour(2 if i == j else 1), 0.15 + 0.7 * share))
            ax.text(j, i, str(count[i, j]), ha="center", va="center", fontsize=8)
    for column, (title, value_K) in enumerate(scores.items()):
        x = size + 0.55 + 1.75 * column
        ax.text(x, -0.75, title, ha="center", va="bottom", fontsize=8, rotation=45)
        for i, k in enumerate(rows):
            text = "-" if np.isnan(value_K[k]) else f"{100 * value_K[k]:.0f}"
            ax.text(x, i, text, ha="center", va="center", fontsize=8)
    ax.set_xlim(-0.5, size + 5)
    ax.set_ylim(size - 0.5, -0.5)
    ax.set_xticks(range(size), names, rotation=90, fontsize=8)
    ax.set_yticks(range(size), names, fontsize=8)
    ax.set_xlabel("predicted", loc="left")
    ax.set_ylabel("true class")
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    mean = {
        title: float(np.nanmean(value_K))
        for title, value_K in scores.items()
        if not np.isnan(value_K).all()
    }
    averages = ", ".join(f"{title} {100 * value:.1f} %" for title, value in mean.items())
    wrong = int((label_M != predicted_M).sum())
    return ax.figure, (
        f"The {size} classes of {len(classes):,} with the most mistakes: images counted, and each "
        f"class's precision, recall and F1 in percent over all classes. {wrong:,} of "
        f"{len(label_M):,} dev images are wrong. Averaged over classes: {averages}."
    )


def most_confused(label_M: np.ndarray, predicted_M: np.ndarray, classes: int) -> list[int]:
    """Classes in the most mistakes, as the true one or the predicted one, neighbours together."""
    wrong_M = label_M != predicted_M
    taken_K = np.bincount(label_M[wrong_M], minlength=classes)
    taken_K = taken_K + np.bincount(predicted_M[wrong_M], minlength=classes)
    present_K = np.bincount(label_M, minlength=classes) > 0
    order = np.lexsort((~present_K, -taken_K))[:CONFUSED]
    return sorted(int(k) for k in order if taken_K[k] or present_K[k])


def class_scores(
    label_M: np.ndarray, predicted_M: np.ndarray, classes: int
) -> dict[str, np.ndarray]:
    """precision_K, recall_K, F1_K as fractions; NaN for a class without images.

    A class that is never predicted has precision 0, as scikit-learn's zero_division=0.
    """
    right_K = np.bincount(label_M[label_M == predicted_M], minlength=classes).astype(float)
    true_K = np.bincount(label_M, minlength=classes)
    said_K = np.bincount(predicted_M, minlength=classes)
    present_K = np.where(true_K > 0, 1.0, np.nan)
    return {
        "precision": right_K / np.maximum(said_K, 1) * present_K,
        "recall": right_K / np.maximum(true_K, 1) * present_K,
        "F1": 2 * right_K / np.maximum(true_K + said_K, 1) * present_K,
    }


def _square(x: float, y: float, tone: str, alpha: float):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=tone, alpha=alpha, linewidth=0)


def pairs(kept: Arrays, kind: str, threshold: float | None) -> Drawn | None:
    """Both images of the hardest pairs of a kind, with their scores."""
    score_P = kept[f"{kind}_score"]
    if not len(score_P):
        return None
    both = np.concatenate([kept[f"{kind}_a"], kept[f"{kind}_b"]], axis=2)  # side by side
    titles = [f"{score:.3f}" for score in score_P]
    figure = _gallery(both, titles, PER_ROW["pairs"], 0.5)
    said = "" if threshold is None else f" The threshold of the EER is {threshold:.3f}."
    told = {
        "genuine": "The same identity, yet the lowest scores: pose, light, blur, or a label "
        "that is wrong.",
        "impostor": "Different identities, yet the highest scores: look-alikes, or one person "
        "under two labels.",
    }[kind]
    return figure, told + said


def worst_images(kept: Arrays) -> Drawn | None:
    """Dev images with the highest loss: what they are and what was predicted."""
    if not len(kept["image"]):
        return None
    titles = [
        f"{both_ends(str(label), 11)}\n→ {'right' if label == said else both_ends(str(said), 9)}"
        for label, said in zip(kept["label"], kept["predicted"], strict=True)
    ]
    figure = _gallery(kept["image"], titles, PER_ROW["images"], 1.0)
    return figure, (
        f"Dev images with the highest loss ({float(kept['loss'][0]):.2f} down to "
        f"{float(kept['loss'][-1]):.2f}), the true class above the predicted one."
    )


def augmented(kept: Arrays) -> Drawn | None:
    """The stage's first images, before and after augmentation."""
    if not len(kept["seen"]):
        return None
    both = np.concatenate([kept["before"], kept["seen"]], axis=2)
    titles = [both_ends(str(name), 12) for name in kept["name"]]
    if np.array_equal(kept["before"], kept["seen"]):
        return _gallery(both, titles, PER_ROW["pairs"], 0.5), (
            "The first images of the stage, twice: nothing augments them before they are mixed."
        )
    return _gallery(both, titles, PER_ROW["pairs"], 0.5), (
        "The first images of the stage: on the left as they are, on the right exactly as the "
        "network saw them, before any mixing with each other."
    )


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
        grey = image_HWC.shape[-1] == 1
        ax.imshow(
            image_HWC[..., 0] if grey else image_HWC,
            cmap="gray" if grey else None,
            vmin=0,
            vmax=255,
            interpolation="nearest",
        )
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
    markers = "os^Dv"
    for i, name in enumerate(names):
        of_M = name_M == name
        x_M, y_M = point_M2[of_M].T
        ax.scatter(
            x_M,
            y_M,
            s=14,
            color=colour(i),
            marker=markers[i // 12 % 5],
            label=both_ends(str(name), 12),
            linewidths=0,
            alpha=0.85,
        )
    if flat:
        ax.set_aspect("equal", "datalim")
    else:
        ax.set_xticks([])
        ax.set_yticks([])
    if len(names) <= 12:
        ax.legend(
            ncols=3,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.03 if not flat else -0.1),
            handletextpad=0.1,
            columnspacing=0.8,
            fontsize=8,
            markerscale=1.3,
        )
    how = "as they are" if flat else "t-SNE of their principal components"
    return ax.figure, (
        f"{len(emb_MD)} dev images of {len(names)} classes, {how}. Distances between far groups "
        "mean little; groups that touch are classes that are confused."
        if not flat
        else f"{len(emb_MD)} dev images of {len(names)} classes, 2-D embeddings {how}."
    )


def project(emb_MD: np.ndarray) -> np.ndarray:
    """point_M2: directions of the embeddings, PCA to 30, then t-SNE, always the same."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    unit_MD = emb_MD / np.maximum(np.linalg.norm(emb_MD, axis=1, keepdims=True), 1e-12)
    count, dimension = unit_MD.shape
    few_M = PCA(min(30, count - 1, dimension), random_state=SEED).fit_transform(unit_MD)
    if few_M.std() < 1e-9:  # all in one place
        return few_M[:, :2] if few_M.shape[1] > 1 else np.repeat(few_M, 2, axis=1)
    model = TSNE(
        2, perplexity=min(20, (count - 1) / 3), init="pca", max_iter=500, random_state=SEED
    )
    return model.fit_transform(few_M)


def target_angles(by_step: dict[int, np.ndarray]) -> Drawn | None:
    """The angle of dev images to their own class: early, midway, late (ArcFace's figure 7)."""
    steps = sorted(by_step)
    if not steps:
        return None
    chosen = sorted({steps[round(i * (len(steps) - 1) / 3)] for i in range(4)})
    ax = new_axes()
    for i, step in enumerate(chosen):
        _angle_line(ax, by_step[step], f"update {step:,}", colour(i))
    _finish_angles(ax, len(chosen))
    first, last = (_median(by_step[steps[i]]) for i in (0, -1))
    return ax.figure, (
        "Angles of dev images to the weights of their own class. A margin pulls them towards 0. "
        f"Median {first:.0f}° at the first evaluation, {last:.0f}° at the last."
    )


def class_angles(kept: Arrays) -> Drawn | None:
    """Angles of images to their own and the nearest other class, and between classes."""
    ax = new_axes()
    called = (
        ("train_own", "train, own class"),
        ("dev_own", "dev, own class"),
        ("dev_other", "dev, nearest other class"),
        ("nearest", "class to nearest class"),
        ("between", "class to class"),
    )
    drawn, medians = 0, []
    for i, (name, text) in enumerate(called):
        if name in kept and kept[name].sum():
            _angle_line(ax, kept[name], text, colour(i))
            medians.append(f"{text} {_median(kept[name]):.0f}°")
            drawn += 1
    if not drawn:
        return None
    _finish_angles(ax, drawn)
    return ax.figure, (
        f"Angles at the best checkpoint, by {kept.get('by', 'class weights')}. The further an "
        "image's own class lies below its nearest other class, the better; train far below dev is "
        f"overfitting. Medians: {'; '.join(medians)}."
    )


def _angle_line(ax: "Axes", count: np.ndarray, label: str, tone: str) -> None:
    share = np.add.reduceat(count, range(0, 180, 3)) / max(count.sum(), 1)
    ax.stairs(100 * share, np.arange(0, 181, 3), color=tone, label=label, linewidth=1.5)


def _finish_angles(ax: "Axes", entries: int) -> None:
    ax.set_xlim(0, 180)
    ax.set_xticks(range(0, 181, 30))
    ax.set_xlabel("angle (degrees)")
    ax.set_ylabel("share per 3 degrees (%)")
    ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
    legend(ax, entries, loc="upper right")


def _median(count: np.ndarray) -> float:
    return float(np.searchsorted(np.cumsum(count), count.sum() / 2) + 0.5)
