"""What a submission may ask of a run: said before training as far as it can be known, and made of
what was measured.

Shapes: M test images, K classes, T ranked classes of each image, P test pairs.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from starter.data import Catalog, resolve_root
from starter.errors import UserError
from starter.inference.embedded import Classes, unknown_items
from starter.metrics import fit_known
from starter.recipe.schema import Recipe
from starter.runs.result import Nobody
from starter.submission import Answers, Ranked, fill, mean_by_id
from starter.submission.handin import sample_path
from starter.submission.shapes import nobody_of

log = logging.getLogger(__name__)

RANKED = 256  # classes of each image that verify.py keeps at most


def sample_of(recipe: Recipe, catalog: Catalog) -> Path | None:
    """The recipe's sample submission, else the likeliest that lies in the set."""
    return sample_path(recipe, resolve_root(recipe.data)) or next(iter(catalog.samples), None)


def word_for_nobody(recipe: Recipe, catalog: Catalog) -> str | None:
    """The sample's word for an image of no class, where held-out identities can say when it is
    meant; None without one. What is wrong with the sample is told when it is answered."""
    if not len(unknown_items(catalog)) or not len(catalog.index("dev")):
        return None
    try:
        sample = sample_of(recipe, catalog)
        return None if sample is None else nobody_of(sample, catalog.classes[: catalog.answers])
    except UserError:
        return None


def fit_nobody(catalog: Catalog, classes: Classes, word: str) -> Nobody:
    """The probability below which an image is of no class: dev images are known, those of held-out
    identities unknown."""
    items = catalog.index("dev"), unknown_items(catalog)
    known_M, unknown_M = (classes.ranked(index_M)[1][:, 0] for index_M in items)
    fitted = fit_known(known_M, unknown_M)
    return Nobody(
        word=word,
        threshold=fitted.value,
        balanced_accuracy=fitted.accuracy,
        known=len(known_M),
        unknown=len(unknown_M),
    )


def answers_of(
    catalog: Catalog,
    ranked: Ranked | None,
    score_P: np.ndarray | Sequence[float],
    match_of_face: Sequence[str],
    nobody_below: float | None = None,
) -> Answers:
    """What a submission may ask for; photos of one id are answered together.

    Args:
        ranked: classes of the test images, None where there are none. score_P: of the test pairs.
        nobody_below: the probability below which an image is of no class, where that is known.
    """
    pairs = catalog.pairs.get("test")
    names = [catalog.submission_name(i) for i in catalog.index("test")]
    classes = catalog.classes[: catalog.answers]
    if ranked is not None and len(set(names)) < len(names):
        names, ranked = mean_by_id(names, ranked, len(classes))
    pair_names = []
    if pairs is not None:
        pair_names = [
            (catalog.submission_name(a), catalog.submission_name(b))
            for a, b in zip(pairs.a_P, pairs.b_P, strict=True)
        ]
    return Answers(
        test_names=names,
        class_of_test=None if ranked is None else [classes[k] for k in ranked.class_MT[:, 0]],
        pair_names=pair_names,
        score_P=score_P,
        classes=classes,
        ranked=ranked,
        match_of_face=match_of_face,
        pair_ids=None if pairs is None else pairs.text_P,
        nobody_below=nobody_below,
    )


def foresee(recipe: Recipe, catalog: Catalog) -> None:
    """A warning, before anything is trained, where no answers of this data could be written as the
    sample or `submission.format` asks."""
    images, pairs, gallery = len(catalog.index("test")), catalog.pairs.get("test"), catalog.gallery
    kept = min(RANKED, len(catalog.classes[: catalog.answers]))
    class_MT = np.broadcast_to(np.arange(kept), (images, kept))
    answers = answers_of(
        catalog,
        Ranked(class_MT, np.broadcast_to(1 / kept, (images, kept))) if images else None,
        [] if pairs is None else np.zeros(len(pairs.a_P)),
        [] if gallery is None else gallery.people[:1] * len(gallery.test_T),
        None if word_for_nobody(recipe, catalog) is None else 0.5,
    )
    try:
        if answers:
            fill(sample_of(recipe, catalog), recipe.submission.format, answers)
    except UserError as error:
        log.warning("no submission will be written: %s", error)
