"""What a run says of the images, kept so that scoring and fusing need no network.

    verify/embeddings.npz           of the stage that the run's result is of
    verify/embeddings-<stage>.npz   of another stage that was asked for

Each holds index_U, emb_UD, the classes of dev and test images, and `key`: the weights, views and
data they are of. Where the key stands, nothing is embedded again.

Shapes: U images, M of dev and test, D embedding, T classes kept of each image.
"""

import json
import logging
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from starter.data import Catalog
from starter.errors import UserError
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder

log = logging.getLogger(__name__)

KEPT_CLASSES = 64  # of an image: a class below them has less than 1/65


@dataclass(frozen=True)
class Classes:
    """Classes of dev and test images, best first, and where they come from.

    value_MT: probabilities where by_logits, else cosines with class means. parameters: of what
    classified, by the sha256 of its weights.
    """

    source: str
    index_M: np.ndarray
    class_MT: np.ndarray
    value_MT: np.ndarray
    by_logits: bool
    parameters: dict[str, int]

    def of(self, items_M: np.ndarray) -> np.ndarray:
        """Class of each item, int64."""
        order = np.argsort(self.index_M)
        at_M = order[np.searchsorted(self.index_M, items_M, sorter=order)]
        return self.class_MT[at_M, 0].astype(np.int64)


@dataclass(frozen=True)
class Embedded:
    """A stage's embeddings of every image that is asked about, and its classes.

    parameters: of the embedder and its heads, by the sha256 of their weights: two entries where
    another stage classifies.
    """

    folder: RunFolder
    stage: str
    weights: str
    tta: tuple[str, ...]
    items_U: np.ndarray
    emb_UD: np.ndarray
    classes: Classes
    parameters: dict[str, int]

    @property
    def made_by(self) -> dict:
        """What its numbers hold for."""
        return {"stage": self.stage, "weights": self.weights, "tta": list(self.tta)}


def embedded(folder: RunFolder, recipe: Recipe, stage: str | None, catalog: Catalog) -> Embedded:
    """Reads a stage's embeddings back, or makes them; `stage` as `trained.open_stage`, and its
    errors."""
    name = stage or recipe.verify.stage or folder.read_best()
    path = _place(folder, name)
    key = _key(folder, recipe, name, catalog)
    found = _read(path, key)
    if found is not None:
        log.info("%s: embedded before, read back", path.as_posix())
        return _restored(folder, found)
    from starter.inference.open_stage import open_stage

    trained = open_stage(folder, recipe, name, catalog)
    log.info("embedding with stage %s (update %d)", trained.stage, trained.checkpoint.step)
    items_U = wanted(catalog)
    emb_UD = trained.embed(items_U)
    classes = trained.classify(items_U, emb_UD)
    made = Embedded(
        folder,
        trained.stage,
        trained.checkpoint.weights_hash,
        trained.options.tta,
        items_U,
        emb_UD,
        classes,
        trained.parameters | classes.parameters,
    )
    _write(path, key, made)
    return made


def wanted(catalog: Catalog) -> np.ndarray:
    """Every image that a score or a class is asked of, once: items_U, ascending."""
    from starter.inference.identify import retrieved

    parts = [catalog.index("dev"), catalog.index("test"), retrieved(catalog)]
    for pairs in catalog.pairs.values():
        parts += [pairs.a_P, pairs.b_P]
    if catalog.gallery is not None:
        parts += [catalog.gallery.known_G, catalog.gallery.dev_Q, catalog.gallery.test_T]
    return np.unique(np.concatenate(parts))


def _place(folder: RunFolder, stage: str | None) -> Path:
    own = stage is None or stage == folder.read_best()
    return folder.embeddings(None if own else stage)


def _key(folder: RunFolder, recipe: Recipe, stage: str | None, catalog: Catalog) -> str:
    """Everything the numbers depend on, but the device, which moves them by rounding alone."""
    weights = {name: folder.weights_of(name) for name in recipe.stages}
    value = {
        "stage": stage,
        "weights": weights,
        "tta": sorted(recipe.verify.tta),
        "data": catalog.fingerprint(),
        "own": stage and folder.weights_of(stage),
    }
    return json.dumps(value, sort_keys=True)


def _read(path: Path, key: str) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            if "key" not in file or str(file["key"]) != key:
                return None
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        log.warning("%s is damaged, the images are embedded again", path)
        return None


def _write(path: Path, key: str, made: Embedded) -> None:
    """Whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    classes = made.classes
    about = {
        "stage": made.stage,
        "weights": made.weights,
        "tta": list(made.tta),
        "parameters": made.parameters,
        "source": classes.source,
        "by_logits": classes.by_logits,
        "classes_parameters": classes.parameters,
    }
    with open(part, "wb") as file:
        np.savez(
            file,
            index_U=made.items_U,
            emb_UD=made.emb_UD,
            index_M=classes.index_M,
            class_MT=classes.class_MT,
            value_MT=classes.value_MT,
            key=np.array(key),
            about=np.array(json.dumps(about)),
        )
    os.replace(part, path)


def _restored(folder: RunFolder, found: dict[str, Any]) -> Embedded:
    about = json.loads(str(found["about"]))
    classes = Classes(
        about["source"],
        found["index_M"],
        found["class_MT"],
        found["value_MT"],
        about["by_logits"],
        about["classes_parameters"],
    )
    return Embedded(
        folder,
        about["stage"],
        about["weights"],
        tuple(about["tta"]),
        found["index_U"],
        found["emb_UD"],
        classes,
        about["parameters"],
    )


def check_parameters(recipe: Recipe, members: list[Embedded]) -> int:
    """Parameters of every network that answers, each once.

    Raises:
        UserError: together they are more than rules.max_parameters.
    """
    parameters: dict[str, int] = {}
    for member in members:
        parameters |= member.parameters
    total, limit = sum(parameters.values()), recipe.rules.max_parameters
    if limit is not None and total > limit:
        counts = " + ".join(f"{count:,}" for count in parameters.values())
        raise UserError(
            f"rules.max_parameters: all models that answer count together: {counts} = {total:,} "
            f"of limit {limit:,}, {total - limit:,} too many; take fewer or smaller runs"
        )
    return total
