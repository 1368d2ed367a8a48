"""From embeddings to scores and what they are worth: pairs, retrieval, 1:N identification.

Shapes: U images that are embedded, V of a set of pairs, P pairs, D embedding; G images of known
people, Q labelled probes, T others.
"""

import logging
import math

import numpy as np

from starter.data import Catalog
from starter.inference.embedded import Embedded, retrieved_items
from starter.metrics import (
    cmc,
    cosine,
    cross_validate,
    decide,
    evaluate,
    fit_threshold,
    identify,
    retrieve,
)
from starter.metrics.score import expand, rerank
from starter.recipe.schema import Recipe
from starter.runs.result import Folds, Identification, PairMetrics, Retrieval

log = logging.getLogger(__name__)


def score_pairs(catalog: Catalog, embedded: Embedded, recipe: Recipe) -> dict[str, np.ndarray]:
    """score_P float32 by the name of the pairs. With `verify.transductive`, the images of each set
    of pairs are each other's neighbours."""
    section = recipe.verify.transductive
    if section.on:
        log.warning(
            "verify.transductive: a pair's score depends on the other images of its file; read "
            "the competition's rules before this is handed in"
        )
    scores = {}
    for name, pairs in catalog.pairs.items():
        own_V, emb_VD = embedded.items_U, embedded.emb_UD
        if section.on:
            own_V = np.unique(np.concatenate([pairs.a_P, pairs.b_P]))
            emb_VD = embedded.of(own_V)
        a_P, b_P = np.searchsorted(own_V, pairs.a_P), np.searchsorted(own_V, pairs.b_P)
        if section.query_expansion:
            emb_VD = expand(emb_VD, section.query_expansion, section.alpha)
        if section.rerank:
            scores[name] = rerank(
                emb_VD, a_P, b_P, k1=section.k1, k2=section.k2, original=section.original
            )
        else:
            scores[name] = cosine(emb_VD, a_P, b_P)
    return scores


def measure_pairs(
    catalog: Catalog, scores: dict[str, np.ndarray], recipe: Recipe
) -> dict[str, PairMetrics]:
    """Metrics with intervals of every labelled set of pairs, by its name."""
    measured = {}
    for name, pairs in catalog.pairs.items():
        if pairs.same_P is not None:
            values = evaluate(
                scores[name],
                pairs.same_P,
                resamples=recipe.verify.resamples,
                identity_P2=catalog.identities(pairs),
                seed=recipe.seed,
            )
            measured[name] = PairMetrics.model_validate(values)
    return measured


def over_folds(catalog: Catalog, scores: dict[str, np.ndarray], seed: int) -> Folds | None:
    """The LFW protocol on the validation pairs; None where they are too few."""
    pairs = catalog.pairs.get("val")
    if pairs is None or pairs.same_P is None:
        return None
    values = cross_validate(scores["val"], pairs.same_P, pairs.fold_P, seed)
    return Folds.model_validate(values) if values else None


def measure_retrieval(catalog: Catalog, embedded: Embedded) -> Retrieval | None:
    """recall@k and mAP@R of the images to verify whose identity is known."""
    items = retrieved_items(catalog)
    if not len(items):
        return None
    assert catalog.identity_N is not None
    values = retrieve(embedded.of(items), catalog.identity_N[items])
    return Retrieval.model_validate(values) if values else None


def identify_probes(
    catalog: Catalog, embedded: Embedded
) -> tuple[Identification | None, tuple[str, ...]]:
    """Matches unknown faces to known people.

    Returns:
        What labelled probes measure, and for each unlabelled face, in their order, what a
        submission says of it. (None, ()) without a gallery.
    """
    gallery = catalog.gallery
    if gallery is None:
        return None, ()
    emb_GD, emb_QD, emb_TD = map(embedded.of, (gallery.known_G, gallery.dev_Q, gallery.test_T))
    accuracy, threshold, ranks = None, -math.inf, {}
    if len(emb_QD):
        fitted = fit_threshold(identify(emb_GD, gallery.identity_G, emb_QD), gallery.answer_Q)
        accuracy, threshold = fitted.accuracy, fitted.value
        ranks = cmc(emb_GD, gallery.identity_G, emb_QD, gallery.answer_Q)
    elif len(emb_TD):
        log.warning("no labelled unknown faces: no threshold could be fitted, nobody is refused")
    person_T = decide(identify(emb_GD, gallery.identity_G, emb_TD), threshold)
    nobody = gallery.no_match or ""  # only asked for where a threshold refuses somebody
    measured = Identification(
        people=len(gallery.people),
        known=len(emb_GD),
        probes=len(emb_QD),
        accuracy=accuracy,
        threshold=threshold if math.isfinite(threshold) else None,
        cmc=ranks,
    )
    return measured, tuple(gallery.people[k] if k >= 0 else nobody for k in person_T)
