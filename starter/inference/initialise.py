"""The first weights of a head that has no parent: the mean embeddings of its classes.

Shapes: M images, K classes, D embedding.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from starter.data import Catalog
from starter.inference.embed import EmbedOptions, class_means, embed, few_per_class, unit
from starter.losses import ClassHead
from starter.training.learner import Learner

log = logging.getLogger(__name__)

MEAN_IMAGES = 50  # per class


def initialise_heads(
    learner: Learner,
    names: Sequence[str],
    catalog: Catalog,
    image_NHWC: np.ndarray,
    options: EmbedOptions,
) -> None:
    """Sets each named head's class weights to the mean embeddings of its classes.

    A head that compares directions is given means of directions: a long embedding counts no more
    than a short one. Loss terms that are no head keep their start.
    """
    terms = {name: learner.objective.terms[name] for name in names}
    heads = {name: term for name, term in terms.items() if isinstance(term, ClassHead)}
    if not heads:
        return
    train_M = catalog.index("train")
    few_M = few_per_class(train_M, catalog.label_N[train_M], MEAN_IMAGES)
    emb_MD = embed(learner.embedder, image_NHWC, few_M, options)
    for name, head in heads.items():
        counted_MD = unit(emb_MD) if head.cosine else emb_MD
        mean_KD = class_means(counted_MD, catalog.label_N[few_M], len(catalog.classes))
        head.init_from_means(torch.from_numpy(mean_KD))
        log.info("%s: class weights set to the means of %d embeddings", name, len(few_M))
