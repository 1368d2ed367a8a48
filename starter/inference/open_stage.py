"""A trained stage opened for inference: its network, its preprocessing, its classes.

Shapes: U images embedded, M of a split, B of a block, D embedding, K classes, T of them kept.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.data import Catalog, load_pack
from starter.errors import UserError
from starter.inference.embed import EmbedOptions, embed, unit
from starter.inference.evaluate import logits, nearest_means
from starter.inference.saved import KEPT_CLASSES, Classes
from starter.metrics import softmax, top_classes
from starter.models.rules import count_parameters
from starter.recipe.own import refuse_other_text
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.training import checkpoint
from starter.training.build import build_learner
from starter.training.checkpoint import Checkpoint
from starter.training.learner import Learner
from starter.training.precision import inference_precision, pick_device

ROWS = 4096  # images whose classes are scored at once

log = logging.getLogger(__name__)


@dataclass
class Trained:
    """A learner with a checkpoint's weights, ready to embed."""

    folder: RunFolder
    recipe: Recipe  # with the user's overrides: data, verify and submission are read from it
    stage: str
    checkpoint: Checkpoint
    learner: Learner
    options: EmbedOptions
    data: Catalog | None = None

    @property
    def catalog(self) -> Catalog:
        """The data it was opened for."""
        assert self.data is not None, "opened without data"
        return self.data

    @property
    def pack(self) -> np.ndarray:
        """The catalog's images at this stage's size, image_NHWC uint8."""
        contract = self.learner.embedder.preprocessing
        cache = Path(self.recipe.data.cache)
        return load_pack(self.catalog, contract.image_size, contract.channels, cache)

    def embed(self, items_U: np.ndarray) -> np.ndarray:
        """emb_UD float32 of catalog items."""
        return embed(self.learner.embedder, self.pack, items_U, self.options)

    def embed_files(self, paths: list[Path]) -> np.ndarray:
        """emb_UD float32 of picture files, read as the pack reads them."""
        from starter.data.store import read_resized

        contract = self.learner.embedder.preprocessing
        images = [read_resized(path, contract.image_size, contract.channels) for path in paths]
        return embed(self.learner.embedder, np.stack(images), np.arange(len(paths)), self.options)

    @property
    def trained_with(self) -> Recipe:
        """The recipe in the checkpoint."""
        return _trained_recipe(self.checkpoint)

    @property
    def parameters(self) -> dict[str, int]:
        """{sha256 of the weights: parameters of embedder and heads}."""
        parts = [self.learner.embedder, *self.learner.objective.terms.values()]
        return {self.checkpoint.weights_hash: count_parameters(parts)}

    def classify(self, items_U: np.ndarray, emb_UD: np.ndarray) -> Classes:
        """Classes of dev and test images among `items_U`: by the latest stage with class logits,
        else by the nearest class mean."""
        index_M = np.concatenate([self.catalog.index("dev"), self.catalog.index("test")])
        emb_MD = emb_UD[np.searchsorted(items_U, index_M)]
        answers = self.catalog.answers or len(self.catalog.classes)
        other, name = self, _stage_with_logits(self)
        if name is None:
            source = f"nearest class mean of stage {self.stage} (no stage has class logits)"
            mean_KD = nearest_means(self.learner, self.catalog, self.pack, self.options)[:answers]
            tops = [
                top_classes(unit(emb_BD) @ mean_KD.T, KEPT_CLASSES) for emb_BD in _blocks(emb_MD)
            ]
        else:
            source = f"class logits of stage {name}"
            if name != self.stage:
                other = open_stage(self.folder, self.recipe, name, self.catalog)
                emb_MD = other.embed(index_M)
            tops = [
                top_classes(softmax(logits(other.learner, emb_BD)[:, :answers]), KEPT_CLASSES)
                for emb_BD in _blocks(emb_MD)
            ]
        log.info("classes: %s", source)
        class_MT, value_MT = (np.concatenate(part) for part in zip(*tops, strict=True))
        return Classes(source, index_M, class_MT, value_MT, name is not None, other.parameters)


def _blocks(emb_MD: np.ndarray) -> list[np.ndarray]:
    """Rows of it, a block at a time; one empty block of nothing."""
    return [emb_MD[i : i + ROWS] for i in range(0, max(len(emb_MD), 1), ROWS)]


def open_stage(folder: RunFolder, recipe: Recipe, stage: str | None, catalog: Catalog) -> Trained:
    """Opens `stage`, else `verify.stage`, else the run's best, for this data.

    Raises:
        UserError: nothing is trained yet, the weights are damaged, or the data has other classes.
    """
    trained = open_stage_without_data(folder, recipe, stage)
    theirs = tuple(trained.checkpoint.meta["classes"])
    if theirs != catalog.classes:
        raise UserError(
            f"{trained.checkpoint.folder} was trained on {len(theirs)} classes "
            f"({', '.join(theirs[:3])}, ...), the data has {len(catalog.classes)} "
            f"({', '.join(catalog.classes[:3])}, ...): set data.root to the data it was trained on"
        )
    trained.data = catalog
    return trained


def open_stage_without_data(folder: RunFolder, recipe: Recipe, stage: str | None) -> Trained:
    """Opens a stage's best checkpoint for pictures that are in no catalog."""
    name = stage or recipe.verify.stage or folder.read_best()
    if name is None:
        raise UserError(f"{folder.path}: no stage is finished; run train.py to its end first")
    found = checkpoint.find(folder.stage(name), "best")
    if found is None:
        raise UserError(f"{folder.stage(name)} holds no checkpoint; run train.py first")
    trained_with = _trained_recipe(found)
    _require_same_texts(folder, name, trained_with)
    contract = found.meta["preprocessing"]
    learner = build_learner(trained_with, name, len(found.meta["classes"]), contract["image_size"])
    learner.load_state_dict(found.weights())
    device = pick_device()
    learner.to(device).eval()
    precision = inference_precision(found.meta["precision"], device.type)
    options = EmbedOptions(recipe.verify.batch_size, device, precision, recipe.verify.tta)
    return Trained(folder, recipe, name, found, learner, options)


def _require_same_texts(folder: RunFolder, stage: str, trained_with: Recipe) -> None:
    """Weights in an edited network of the same shapes would embed silently wrong."""
    record = folder.read_stage(stage)
    if record is not None:
        used = trained_with.model_dump(mode="json", include={"model": True, "stages": {stage}})
        refuse_other_text(used, record["identity"], folder.stage(stage))


def _trained_recipe(found: Checkpoint) -> Recipe:
    """The recipe in the checkpoint; its weights are here, so none are fetched."""
    value = found.meta["recipe"]
    value = value | {"model": value["model"] | {"pretrained": False, "init_from": None}}
    return Recipe.model_validate_json(json.dumps(value))


def _stage_with_logits(trained: Trained) -> str | None:
    """The latest finished stage with class logits, looking back from the one that embeds."""
    names = list(_trained_recipe(trained.checkpoint).stages)  # the recipe may have lost it since
    for name in reversed(names[: names.index(trained.stage) + 1]):
        found = checkpoint.find(trained.folder.stage(name), "best")
        if found and any(term["classes"] for term in found.meta["terms"].values()):
            return name
    return None
