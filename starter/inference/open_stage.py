"""A run opened for inference: its recipe, a stage's network, its embeddings and classes.

Shapes: U images embedded, M of dev and test, B of a block, D embedding, K classes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.data import Catalog, load_pack
from starter.data.decode import fit, read_image
from starter.errors import UserError, did_you_mean
from starter.inference.embed import EmbedOptions, embed, unit
from starter.inference.embedded import (
    Classes,
    Embedded,
    embeddings_key,
    read_embedded,
    unknown_items,
    wanted_items,
    write_embedded,
)
from starter.inference.evaluate import logits, nearest_means
from starter.metrics import softmax, top_classes
from starter.models.rules import count_parameters
from starter.recipe import load
from starter.recipe.own import refuse_other_text
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder, StageFolder
from starter.runs.result import NetworkFile, Source
from starter.training import checkpoint
from starter.training.build import build_learner
from starter.training.checkpoint import Checkpoint
from starter.training.learner import Learner
from starter.training.precision import inference_precision, pick_device

ROWS = 4096  # images whose classes are scored at once
KEPT_CLASSES = 256  # of an image: a class below them has less than 1/257

log = logging.getLogger(__name__)


def open_run(
    run: str | Path, overrides: Sequence[str] = (), stage: str | None = None
) -> tuple[RunFolder, Recipe, str]:
    """A run folder, its recipe with overrides, and the stage that embeds: `stage`, else the one
    that the path names (runs/demo/classify), else `verify.stage`, else the run's best.

    Raises:
        UserError: no run folder, a fusion, or no stage is finished.
    """
    path = Path(run)
    if StageFolder(path).checkpoints.is_dir() and RunFolder(path.parent).recipe.is_file():
        path, stage = path.parent, stage or path.name
    folder = RunFolder.existing(path)
    fusion = folder.read_fusion()
    if fusion is not None:
        names = " ".join(member.run for member in fusion.members)
        raise UserError(
            f"{folder} is a fusion and holds no network; run: python verify.py {names} "
            f"--out {folder} --fusion {fusion.kind}"
        )
    recipe = load(folder.recipe, overrides)
    stage = stage or recipe.verify.stage or folder.read_best()
    if stage is None:
        raise UserError(f"{folder}: no stage is finished; run train.py to its end first")
    # The recipe may have lost a stage that was trained.
    if stage not in recipe.stages and ("/" in stage or folder.read_stage(stage) is None):
        known = f"{did_you_mean(stage, recipe.stages)} (stages: {', '.join(recipe.stages)})"
        raise UserError(f"{folder} has no stage {stage!r}{known}")
    return folder, recipe, stage


@dataclass(frozen=True)
class Trained:
    """A learner with a stage's best weights, ready to embed."""

    folder: RunFolder
    stage: str
    checkpoint: Checkpoint
    learner: Learner
    options: EmbedOptions

    def pack(self, recipe: Recipe, catalog: Catalog) -> np.ndarray:
        """The catalog's images at this stage's size, image_NHWC uint8."""
        contract = self.learner.embedder.preprocessing
        size, channels = contract.image_size, contract.channels
        return load_pack(catalog, size, channels, Path(recipe.data.cache), contract.fit)

    def embed(self, image_NHWC: np.ndarray, index_U: np.ndarray) -> np.ndarray:
        """emb_UD float32 of images of a pack."""
        return embed(self.learner.embedder, image_NHWC, index_U, self.options)

    def embed_files(self, paths: Sequence[Path]) -> np.ndarray:
        """emb_UD float32 of picture files, read as the pack reads them."""
        contract = self.learner.embedder.preprocessing
        size, channels = contract.image_size, contract.channels
        images = [fit(read_image(path), size, channels, contract.fit) for path in paths]
        return self.embed(np.stack(images), np.arange(len(images)))

    @property
    def network_file(self) -> NetworkFile:
        """What its weights are, and the state of their file."""
        state = self.checkpoint.folder.weights.stat()
        parts = [self.learner.embedder, *self.learner.objective.terms.values()]
        return NetworkFile(
            stage=self.stage,
            weights=self.checkpoint.weights_hash,
            parameters=count_parameters(parts),
            size=state.st_size,
            mtime_ns=state.st_mtime_ns,
            ctime_ns=state.st_ctime_ns,
            inode=state.st_ino,
        )


def open_stage(
    folder: RunFolder,
    recipe: Recipe,
    stage: str,
    catalog: Catalog | None = None,
    *,
    trust: bool = False,
) -> Trained:
    """Opens a stage's best checkpoint.

    Args:
        recipe: the run's, with overrides; the network is built from the checkpoint's own.
        catalog: the data to answer for, whose classes must be those that it was trained on; None:
            pictures that are in no catalog.
        trust: take the user's own files as they are, not only with the text of the training.
    Raises:
        UserError: nothing is trained yet, the weights are damaged, or the data has other classes.
    """
    best = checkpoint.find(folder.stage(stage), "best")
    if best is None:
        raise UserError(f"{folder.stage(stage)} holds no checkpoint; run train.py first")
    classes = best.meta.classes
    if catalog is not None and classes != catalog.classes:
        raise UserError(
            f"{best.folder} was trained on {len(classes)} classes ({', '.join(classes[:3])}, ...), "
            f"the data has {len(catalog.classes)} ({', '.join(catalog.classes[:3])}, ...): set "
            "data.root to the data it was trained on"
        )
    trained_with = _trained_recipe(best)
    if not trust:
        _require_same_texts(folder, stage, trained_with)
    size = best.meta.preprocessing.image_size
    learner = build_learner(trained_with, stage, len(classes), size)
    learner.load_state_dict(best.weights())
    device = pick_device()
    learner.to(device).eval()
    precision = inference_precision(best.meta.precision, device.type)
    options = EmbedOptions(recipe.verify.batch_size, device, precision, recipe.verify.tta)
    return Trained(folder, stage, best, learner, options)


def embed_run(
    folder: RunFolder,
    recipe: Recipe,
    stage: str,
    catalog: Catalog,
    *,
    trust: bool = False,
    unknown: bool = False,
) -> Embedded:
    """Embeddings and classes of a stage: read back where they were kept, else made and kept.

    unknown: the classes of held-out identities too.

    Raises:
        UserError: as `open_stage`; weights that are missing or damaged are noticed either way.
    """
    path = folder.embeddings(None if stage == folder.read_best() else stage)
    key = embeddings_key(folder, recipe, stage, catalog, unknown=unknown)
    kept = read_embedded(path, key)
    if kept is not None:
        for network in kept.networks:
            _require_whole(folder, network)
        log.info("%s: embedded before, read back", path.as_posix())
        return kept
    trained = open_stage(folder, recipe, stage, catalog, trust=trust)
    log.info("embedding with stage %s (update %d)", stage, trained.checkpoint.step)
    items_U = wanted_items(catalog)
    image_NHWC = trained.pack(recipe, catalog)
    emb_UD = trained.embed(image_NHWC, items_U)
    index_M = np.concatenate([catalog.index("dev"), catalog.index("test")])
    if unknown:
        index_M = np.concatenate([index_M, unknown_items(catalog)])
    emb_MD = emb_UD[np.searchsorted(items_U, index_M)]
    other = _stage_with_logits(trained)
    networks = [trained.network_file]
    if other is None:
        mean_KD = nearest_means(trained.learner, catalog, image_NHWC, trained.options)
        classes = _classes_of(trained, index_M, emb_MD, catalog, mean_KD)
    elif other == stage:
        classes = _classes_of(trained, index_M, emb_MD, catalog)
    else:
        classifier = open_stage(folder, recipe, other, catalog, trust=trust)
        emb_MD = classifier.embed(classifier.pack(recipe, catalog), index_M)
        classes = _classes_of(classifier, index_M, emb_MD, catalog)
        networks.append(classifier.network_file)
    log.info("classes: %s", classes.source)
    source = Source(stage=stage, weights=networks[0].weights, tta=trained.options.tta)
    embedded = Embedded(source, tuple(networks), items_U, emb_UD, classes)
    write_embedded(path, key, embedded, catalog)
    return embedded


def _classes_of(
    trained: Trained,
    index_M: np.ndarray,
    emb_MD: np.ndarray,
    catalog: Catalog,
    mean_KD: np.ndarray | None = None,
) -> Classes:
    """By class logits, or by cosines with the class means where these are given."""
    answers = catalog.answers or len(catalog.classes)
    tops = []
    for start in range(0, max(len(emb_MD), 1), ROWS):  # one empty block of nothing
        emb_BD = emb_MD[start : start + ROWS]
        if mean_KD is None:
            value_BK = softmax(logits(trained.learner, emb_BD)[:, :answers])
        else:
            value_BK = unit(emb_BD) @ mean_KD[:answers].T
        tops.append(top_classes(value_BK, KEPT_CLASSES))
    class_MT, value_MT = (np.concatenate(part) for part in zip(*tops, strict=True))
    source = f"class logits of stage {trained.stage}"
    if mean_KD is not None:
        source = f"nearest class mean of stage {trained.stage} (no stage has class logits)"
    return Classes(source, index_M, class_MT, value_MT, mean_KD is None)


def _require_whole(folder: RunFolder, network: NetworkFile) -> None:
    """UserError where weights are missing or damaged. Their content is read again only where the
    file was touched since."""
    best = checkpoint.find(folder.stage(network.stage), "best")
    assert best is not None, "the key names its weights"
    path = best.folder.weights
    if path.is_file():
        state = path.stat()
        now = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        if now == (network.size, network.mtime_ns, network.ctime_ns, network.inode):
            return
    best.require_weights()


def _require_same_texts(folder: RunFolder, stage: str, trained_with: Recipe) -> None:
    """Weights in an edited network of the same shapes would embed silently wrong."""
    record = folder.read_stage(stage)
    if record is not None:
        used = trained_with.model_dump(mode="json", include={"model": True, "stages": {stage}})
        refuse_other_text(used, record.inputs, folder.stage(stage))


def _trained_recipe(best: Checkpoint) -> Recipe:
    """The recipe in the checkpoint; its weights are here, so none are fetched."""
    recipe = best.meta.recipe
    model = recipe.model.model_copy(update={"pretrained": False, "init_from": None})
    return recipe.model_copy(update={"model": model})


def _stage_with_logits(trained: Trained) -> str | None:
    """The latest finished stage with class logits, looking back from the one that embeds."""
    names = list(_trained_recipe(trained.checkpoint).stages)  # the recipe may have lost it since
    for name in reversed(names[: names.index(trained.stage) + 1]):
        best = checkpoint.find(trained.folder.stage(name), "best")
        if best and any(term.classes for term in best.meta.terms.values()):
            return name
    return None
