"""Who the unknown faces are, whether images find their like, and accuracy over folds.

Shapes: U images that were embedded, G images of known people, Q labelled probes, T others.
"""

import logging
import math

import numpy as np

from starter.data import Catalog
from starter.metrics import cmc, cross_validate, decide, fit_threshold, identify, retrieve

log = logging.getLogger(__name__)


def find_known(catalog: Catalog, items_U: np.ndarray, emb_UD: np.ndarray) -> tuple[dict, list[str]]:
    """Matches unknown faces to known people.

    Returns:
        {"identification": people, known, probes, accuracy and threshold (of the labelled probes it
        was fitted on; threshold None where nobody is refused), cmc}, and for each unlabelled
        face, in their order, what a submission says of it. Nothing without a gallery.
    """
    gallery = catalog.gallery
    if gallery is None:
        return {}, []
    emb_GD, emb_QD, emb_TD = (
        emb_UD[np.searchsorted(items_U, items)]
        for items in (gallery.known_G, gallery.dev_Q, gallery.test_T)
    )
    found: dict = {
        "people": len(gallery.people),
        "known": len(emb_GD),
        "probes": len(emb_QD),
        "accuracy": None,
        "threshold": None,
        "cmc": {},
    }
    threshold = -math.inf
    if len(emb_QD):
        fitted = fit_threshold(identify(emb_GD, gallery.identity_G, emb_QD), gallery.answer_Q)
        threshold = fitted.value
        found["accuracy"] = fitted.accuracy
        found["threshold"] = threshold if math.isfinite(threshold) else None
        found["cmc"] = cmc(emb_GD, gallery.identity_G, emb_QD, gallery.answer_Q)
    elif len(emb_TD):
        log.warning("no labelled unknown faces: no threshold could be fitted, nobody is refused")
    person_T = decide(identify(emb_GD, gallery.identity_G, emb_TD), threshold)
    nobody = gallery.no_match or ""  # only asked for where a threshold refuses somebody
    words = [gallery.people[k] if k >= 0 else nobody for k in person_T]
    return {"identification": found}, words


def find_alike(catalog: Catalog, items_U: np.ndarray, emb_UD: np.ndarray) -> dict:
    """{"retrieval": recall@k and mAP@R} of the images to verify whose identity is known."""
    items = retrieved(catalog)
    if not len(items):
        return {}
    assert catalog.identity_N is not None
    found = retrieve(emb_UD[np.searchsorted(items_U, items)], catalog.identity_N[items])
    return {"retrieval": found} if found else {}


def retrieved(catalog: Catalog) -> np.ndarray:
    """Items that are queries and what they search: held-out identities, unless 1:N is the task."""
    if catalog.identity_N is None or catalog.gallery is not None:
        return np.empty(0, np.int64)
    verify = catalog.index("verify")
    return verify[catalog.identity_N[verify] >= 0]


def over_folds(catalog: Catalog, scores: dict[str, np.ndarray], seed: int) -> dict:
    """{"folds": the LFW protocol} of the validation pairs, where there are enough."""
    pairs = catalog.pairs.get("val")
    if pairs is None or pairs.same_P is None:
        return {}
    found = cross_validate(scores["val"], pairs.same_P, pairs.fold_P, seed)
    return {"folds": found} if found else {}
