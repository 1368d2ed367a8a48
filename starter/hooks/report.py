"""The report of a run, drawn while it trains, and what a stage keeps for it in <stage>/shown.

    augmented.npz         images of the first batch, as they were and as the network saw them
    angles-<step>.npz     angles of dev images to their own class, at each evaluated epoch
    scores.npz            validation scores with what they should say
    classes.npz           labels and predictions of the dev split, and of some training images
    pairs.npz, images.npz thumbnails of the hardest pairs and of the images with the highest loss
    angles.npz            angles between classes, and of images to their own and the nearest other
    map.npz               embeddings of a few classes

Shapes: N images of the pack, M of the catalog's items, P pairs, K classes, D embedding.
Angles are counts per degree, 0 to 180. Nothing here draws a random number, and no file is needed to
go on. A picture never costs a run: what goes wrong in drawing is a warning.
"""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from starter import distributed
from starter.data.batches import Batch
from starter.hooks.base import Hook
from starter.inference.embed import embed, embed_options, unit
from starter.inference.evaluate import Evaluation, nearest_means
from starter.report import report
from starter.runs.folder import StageFolder
from starter.training.learner import Learner
from starter.training.state import StageJob, TrainState

log = logging.getLogger(__name__)

FIRST, PAIRS, IMAGES = 12, 9, 16  # shown: of the first batch, pairs of each kind, worst images
SIDE = 96  # pixels of a thumbnail at most
TRAIN = 1000  # training images looked at, evenly spread
CLASSES = 2000  # whose angles are measured against each other, evenly spread
MAP_CLASSES, MAP_EACH, MAP_FLAT = 12, 40, 3000  # of the map; of a 2-D embedding, all classes
ROWS = 4096  # images at once against all classes
SHARE = 0.05  # of the time, at most, is spent drawing while a stage trains
FIRST_DRAWING = 1.0  # seconds that it is taken to cost


class ReportData(Hook):
    """Keeps what the report draws of a stage."""

    def __init__(self, job: StageJob):
        self.folder, self.job, self.catalog = job.folder, job, job.catalog

    def begin(self, state: TrainState) -> None:
        self.image_NHWC = self.job.pack()

    def after_update(self, state: TrainState, batch: Batch) -> None:
        """Images of the first batch beside what augmentation made of them."""
        if state.step == 1:
            seen = batch.image_BHWC[:FIRST].cpu().numpy()
            _save(
                self.folder,
                "augmented",
                before=_thumbnails(self.image_NHWC[batch.index_B[:FIRST].numpy()]),
                seen=_thumbnails(seen),
                name=self._classes(batch.label_B[:FIRST].numpy()),
            )

    def after_evaluation(self, state: TrainState, evaluation: Evaluation) -> None:
        """Angles of dev images to the weights of their own class; nothing without a class head."""
        head, dev_M = state.evaluated.objective.classifier, self.catalog.index("dev")
        if head is not None and len(dev_M):
            emb_MD = _embeddings(evaluation, dev_M)
            own_M, _ = _angles(emb_MD, _weights(head), self.catalog.label_N[dev_M])
            _save(self.folder, f"angles-{state.step:08d}", own=_per_degree(own_M))

    def end(self, state: TrainState, evaluation: Evaluation) -> None:
        """Everything that is known once the best checkpoint is chosen."""
        self._keep_pairs(evaluation)
        learner, options = state.evaluated, embed_options(self.job, state.precision)
        head = learner.objective.classifier
        if head is not None:
            class_KD = _weights(head)
        else:
            class_KD = nearest_means(learner, self.catalog, self.image_NHWC, options)
        dev_M = self.catalog.index("dev")
        train_M = _spread(self.catalog.index("train"), TRAIN)
        parts: dict[str, Any] = {"classes": np.array(self.catalog.classes, dtype=str)}
        angles: dict[str, Any] = {}
        for split, index_M in (("dev", dev_M), ("train", train_M)):
            if not len(index_M):
                continue
            if split == "dev":
                emb_MD = _embeddings(evaluation, index_M)
            else:
                emb_MD = embed(learner.embedder, self.image_NHWC, index_M, options)
            label_M = self.catalog.label_N[index_M]
            predicted_M, loss_M = _judge(learner, emb_MD, label_M, class_KD)
            parts |= {f"{split}_label": label_M, f"{split}_predicted": predicted_M}
            own_M, other_M = _angles(emb_MD, class_KD, label_M)
            angles |= {f"{split}_own": _per_degree(own_M), f"{split}_other": _per_degree(other_M)}
            if split == "dev":
                self._keep_worst(index_M, predicted_M, loss_M)
                self._keep_map(label_M, emb_MD)
        by = np.array("class weights" if head is not None else "class means")
        _save(self.folder, "classes", **parts)
        _save(self.folder, "angles", **angles, **_between(class_KD), by=by)

    def _keep_pairs(self, evaluation: Evaluation) -> None:
        pairs, score_P = self.catalog.pairs.get("val"), evaluation.score_P
        if pairs is None or pairs.same_P is None or score_P is None:
            return
        known: dict[str, Any] = {"score": score_P, "same": pairs.same_P}
        identity_P2 = self.catalog.identities(pairs)
        if identity_P2 is not None:
            known["identity"] = identity_P2
        _save(self.folder, "scores", **known)
        names, kept = self.catalog.names, dict[str, Any]()
        for kind, wanted_P, sign in (("genuine", pairs.same_P, 1), ("impostor", ~pairs.same_P, -1)):
            of_P = np.flatnonzero(wanted_P)
            worst = of_P[np.argsort(sign * score_P[of_P], kind="stable")[:PAIRS]]
            a_M, b_M = pairs.a_P[worst], pairs.b_P[worst]
            kept |= {
                f"{kind}_a": _thumbnails(self.image_NHWC[a_M]),
                f"{kind}_b": _thumbnails(self.image_NHWC[b_M]),
                f"{kind}_score": score_P[worst],
                f"{kind}_name": np.array(
                    [(names[a], names[b]) for a, b in zip(a_M, b_M, strict=True)], dtype=str
                ),
            }
        _save(self.folder, "pairs", **kept)

    def _keep_worst(self, index_M: np.ndarray, predicted_M: np.ndarray, loss_M: np.ndarray) -> None:
        worst = np.argsort(-loss_M, kind="stable")[:IMAGES]
        items = index_M[worst]
        _save(
            self.folder,
            "images",
            image=_thumbnails(self.image_NHWC[items]),
            loss=loss_M[worst],
            label=self._classes(self.catalog.label_N[items]),
            predicted=self._classes(predicted_M[worst]),
            name=np.array([self.catalog.names[i] for i in items], dtype=str),
        )

    def _keep_map(self, label_M: np.ndarray, emb_MD: np.ndarray) -> None:
        """A few images of the classes with the most; a 2-D embedding needs no choice."""
        if emb_MD.shape[1] == 2:
            rows = _spread(np.arange(len(label_M)), MAP_FLAT)
        else:
            count_K = np.bincount(label_M, minlength=len(self.catalog.classes))
            chosen = np.argsort(-count_K, kind="stable")[:MAP_CLASSES]
            rows = np.concatenate([np.flatnonzero(label_M == k)[:MAP_EACH] for k in chosen])
        _save(
            self.folder,
            "map",
            emb=emb_MD[rows].astype(np.float32),
            name=self._classes(label_M[rows]),
        )

    def _classes(self, label_M: np.ndarray) -> np.ndarray:
        """Names of classes."""
        return np.array([self.catalog.classes[k] for k in label_M], dtype=str)


@torch.no_grad()
def _judge(
    learner: Learner, emb_MD: np.ndarray, label_M: np.ndarray, class_KD: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """predicted_M, and loss_M: cross-entropy without margin, or of cosines where no head is."""
    head = learner.objective.classifier
    device = next(learner.parameters()).device
    predicted, losses = [], []
    for start in range(0, len(emb_MD), ROWS):
        emb_BD = torch.from_numpy(emb_MD[start : start + ROWS])
        label_B = torch.from_numpy(label_M[start : start + ROWS].astype(np.int64))
        if head is not None:
            logits_BK = head.logits(emb_BD.to(device)).cpu()
        else:
            logits_BK = torch.from_numpy(unit(emb_BD.numpy()) @ unit(class_KD).T)
        predicted.append(logits_BK.argmax(1).numpy())
        losses.append(torch.nn.functional.cross_entropy(logits_BK, label_B, reduction="none"))
    return np.concatenate(predicted), torch.cat(losses).numpy()


def _angles(
    emb_MD: np.ndarray, class_KD: np.ndarray, label_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Degrees of each image to its own class and to the nearest other one (empty for one class)."""
    class_KD, own, other = unit(class_KD), [], []
    for start in range(0, len(emb_MD), ROWS):
        cosine_BK = unit(emb_MD[start : start + ROWS]) @ class_KD.T
        rows, label_B = np.arange(len(cosine_BK)), label_M[start : start + ROWS]
        own.append(_degrees(cosine_BK[rows, label_B]))
        cosine_BK[rows, label_B] = -np.inf
        if len(class_KD) > 1:
            other.append(_degrees(cosine_BK.max(1)))
    return np.concatenate(own), np.concatenate(other) if other else np.zeros(0)


def _between(class_KD: np.ndarray) -> dict[str, np.ndarray]:
    """Angles of every two classes, and of each class to its nearest."""
    some_KD = unit(_spread(class_KD, CLASSES))
    count = len(some_KD)
    if count < 2:
        return {}
    cosine_KK = some_KD @ some_KD.T
    between = _per_degree(_degrees(cosine_KK[np.triu_indices(count, 1)]))
    np.fill_diagonal(cosine_KK, -np.inf)
    return {"between": between, "nearest": _per_degree(_degrees(cosine_KK.max(1)))}


def _degrees(cosine: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _per_degree(degrees: np.ndarray) -> np.ndarray:
    return np.histogram(degrees, bins=180, range=(0, 180))[0]


def _weights(head) -> np.ndarray:
    return head.class_vectors().detach().float().cpu().numpy()


def _embeddings(evaluation: Evaluation, index_M: np.ndarray) -> np.ndarray:
    kept = evaluation.emb_by_item
    return kept["emb_MD"][np.searchsorted(kept["index_M"], index_M)]


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def _thumbnails(image_MHWC: np.ndarray) -> np.ndarray:
    """uint8 images, made smaller where a side has more pixels than SIDE."""
    image_MHWC = np.ascontiguousarray(image_MHWC)
    longest = max(image_MHWC.shape[1:3])
    if not len(image_MHWC) or longest <= SIDE:
        return image_MHWC
    import cv2

    high, wide = (max(1, side * SIDE // longest) for side in image_MHWC.shape[1:3])
    small = [cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA) for image in image_MHWC]
    return np.stack(small).reshape(len(small), high, wide, -1)


def _save(folder: StageFolder, file: str, /, **arrays: Any) -> None:
    if not distributed.is_main():
        return
    folder.shown.mkdir(exist_ok=True)
    np.savez_compressed(folder.shown_file(file), **arrays)


class Redraw(Hook):
    """Draws what has grown after an epoch, where SHARE of the time has room for it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._next = time.monotonic() + FIRST_DRAWING / SHARE

    def after_epoch(self, state: TrainState) -> None:
        start = time.monotonic()
        if start >= self._next and distributed.is_main():
            draw_report(self.folder, live=True)
            end = time.monotonic()
            self._next = end + (end - start) / SHARE


def draw_report(run: str | Path, *, live: bool = False) -> Path | None:
    """Writes a run's report.html and its figures.

    Args:
        run: a run folder.
        live: a stage is running: only what grows with it is drawn anew.
    Returns:
        The page's path; None where it could not be drawn, which is logged.
    """
    try:
        return report(run, live=live)
    except Exception as error:  # of matplotlib, of the disk: the run itself is whole
        log.warning("%s: no report: %s: %s", run, type(error).__name__, error)
        log.debug("report", exc_info=True)
        return None
