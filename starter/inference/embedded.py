"""What networks say of the images, kept with names so that scoring and fusing need no network.

    verify/embeddings.npz           of the stage that the run's result is of
    verify/embeddings-<stage>.npz   of another stage

Shapes: U images, M of dev and test, D embedding, T classes kept of each image.
"""

import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter import files
from starter.data import Catalog
from starter.errors import UserError
from starter.metrics import softmax
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.runs.result import EmbeddingsHeader, NetworkFile, Source

log = logging.getLogger(__name__)

COSINE_SCALE = 16.0  # of the kit's normalised softmax


@dataclass(frozen=True)
class Classes:
    """Classes of dev and test images (and of held-out identities, where the word for nobody is
    asked for), best first, and where they come from.

    value_MT: probabilities where by_logits, else cosines with class means.
    """

    source: str
    index_M: np.ndarray
    class_MT: np.ndarray
    value_MT: np.ndarray
    by_logits: bool

    def of(self, items_M: np.ndarray) -> np.ndarray:
        """Class of each item, int64."""
        return self.class_MT[self._rows(items_M), 0].astype(np.int64)

    def ranked(self, items_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """class_MT int64 of items, best first, and probability_MT. Of cosines with class means a
        softmax is taken, as a head of scale COSINE_SCALE takes it."""
        rows_M = self._rows(items_M)
        value_MT = self.value_MT[rows_M]
        if not self.by_logits:
            value_MT = softmax(COSINE_SCALE * value_MT)
        return self.class_MT[rows_M].astype(np.int64), value_MT

    def _rows(self, items_M: np.ndarray) -> np.ndarray:
        order = np.argsort(self.index_M)
        return order[np.searchsorted(self.index_M, items_M, sorter=order)]


@dataclass(frozen=True)
class Embedded:
    """Embeddings of every image that is asked about, and classes; of a stage or of a fusion.

    networks: all that answered, one more where another stage classifies.
    """

    source: Source
    networks: tuple[NetworkFile, ...]
    items_U: np.ndarray
    emb_UD: np.ndarray
    classes: Classes

    def of(self, items_V: np.ndarray) -> np.ndarray:
        """emb_VD of items."""
        return self.emb_UD[np.searchsorted(self.items_U, items_V)]


def wanted_items(catalog: Catalog) -> np.ndarray:
    """Every image that a score or a class is asked of, once: items_U, ascending."""
    parts = [catalog.index("dev"), catalog.index("test"), retrieved_items(catalog)]
    for pairs in catalog.pairs.values():
        parts += [pairs.a_P, pairs.b_P]
    if catalog.gallery is not None:
        parts += [catalog.gallery.known_G, catalog.gallery.dev_Q, catalog.gallery.test_T]
    return np.unique(np.concatenate(parts))


def retrieved_items(catalog: Catalog) -> np.ndarray:
    """Items that are queries and what they search: held-out identities, unless 1:N is the task."""
    if catalog.identity_N is None or catalog.gallery is not None:
        return np.empty(0, np.int64)
    verify = catalog.index("verify")
    return verify[catalog.identity_N[verify] >= 0]


def unknown_items(catalog: Catalog) -> np.ndarray:
    """Items of identities held out of training, but for those by which nothing is chosen."""
    items = retrieved_items(catalog)
    if "held" in catalog.pairs and catalog.identity_N is not None:
        held = catalog.identity_N[catalog.pairs["held"].a_P]
        items = items[~np.isin(catalog.identity_N[items], held)]
    return items


def embeddings_key(
    folder: RunFolder, recipe: Recipe, stage: str, catalog: Catalog, *, unknown: bool = False
) -> str:
    """Everything the numbers depend on, but the device, which moves them by rounding alone.

    unknown: the classes of held-out identities are there too.
    """
    value = {
        "stage": stage,
        "weights": {name: folder.weights_of(name) for name in {*recipe.stages, stage}},
        "tta": sorted(recipe.verify.tta),
        "data": catalog.fingerprint(),
    }
    return json.dumps(value | ({"unknown": True} if unknown else {}), sort_keys=True)


def read_embedded(path: Path, key: str) -> Embedded | None:
    """Kept embeddings; None where there are none of this key, or they are damaged."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            header = EmbeddingsHeader.model_validate_json(str(file["header"]))
            if header.key != key:
                return None
            classes = Classes(
                header.classes_from,
                file["index_M"],
                file["class_MT"],
                file["value_MT"],
                header.by_logits,
            )
            return Embedded(
                header.source, header.networks, file["index_U"], file["emb_UD"], classes
            )
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        log.warning("%s is damaged, the images are embedded again", path)
        return None


def write_embedded(path: Path, key: str, embedded: Embedded, catalog: Catalog) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = embedded.classes
    header = EmbeddingsHeader(
        key=key,
        source=embedded.source,
        networks=embedded.networks,
        classes_from=classes.source,
        by_logits=classes.by_logits,
    )
    with files.replacing(path) as file:
        np.savez(
            file,
            header=np.array(header.model_dump_json()),
            name_U=np.array([catalog.names[i] for i in embedded.items_U], dtype=str),
            index_U=embedded.items_U,
            emb_UD=embedded.emb_UD,
            index_M=classes.index_M,
            class_MT=classes.class_MT,
            value_MT=classes.value_MT,
        )


def check_parameters(recipe: Recipe, networks: Sequence[NetworkFile]) -> int:
    """Parameters of every network that answers, each once.

    Raises:
        UserError: together they are more than rules.max_parameters.
    """
    parameters = {network.weights: network.parameters for network in networks}
    total, limit = sum(parameters.values()), recipe.rules.max_parameters
    if limit is not None and total > limit:
        counts = " + ".join(f"{count:,}" for count in parameters.values())
        raise UserError(
            f"rules.max_parameters: all models that answer count together: {counts} = {total:,} "
            f"of limit {limit:,}, {total - limit:,} too many; take fewer or smaller runs"
        )
    return total
