"""Starting a stage from an earlier one: what is loaded, what is left, what is new.

Shapes: K classes, D embedding.
"""

import logging
import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from starter.errors import UserError
from starter.losses import FROM_RECIPE, ClassHead, dominant
from starter.models import Backbone, Embedder, Preprocessing, backbone_names, choose_stem
from starter.runs.records import Term
from starter.training.checkpoint import Checkpoint
from starter.training.learner import Learner

log = logging.getLogger(__name__)


def start_from(learner: Learner, parent: Checkpoint, classes: tuple[str, ...]) -> list[str]:
    """Loads the parent's embedder, and each head that fits; returns the terms that stay new.

    A head fits when it is of the same kind for the same classes, or when both compare cosines
    with class weights of one shape.

    Raises:
        UserError: the parent is another network, or was trained on other colours or statistics.
    """
    weights = load_embedder(learner.embedder, parent)
    same_classes = tuple(parent.meta.classes) == classes
    left = {name for name in weights if name.startswith("objective.")}
    new = []
    for name, term in learner.objective.terms.items():
        source = _fitting(name, term, parent.meta.terms, weights) if same_classes else None
        if source is None:
            if any(True for _ in term.parameters()):
                new.append(name)
            continue
        prefix = f"objective.terms.{source}."
        state = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        if "wins_KC" in state and "wins_KC" not in term.state_dict():  # one centre of several
            state["weight"] = dominant(state["weight"], state["wins_KC"])
        own = term.state_dict()
        same_kind = _kind(source) == _kind(name)
        kept = {k for k in own if k in state and (k == "weight" or same_kind)} - FROM_RECIPE
        left -= {prefix + key for key in kept}
        term.load_state_dict({k: state[k] if k in kept else own[k] for k in own})
        log.info("%s: weights carried over from %s of %s", name, source, parent.meta.stage)
    dropped = sorted({key.split(".")[2] for key in left})
    log.info(
        "starts from %s (update %d): embedder kept%s%s",
        parent.meta.stage,
        parent.step,
        "".join(f", {name} dropped" for name in dropped),
        "".join(f", {name} new" for name in new),
    )
    return new


def _fitting(
    name: str, term: nn.Module, parent_terms: Mapping[str, Term], weights: dict
) -> str | None:
    """The parent's term whose weights or centres `term` can take, by name first."""
    if not isinstance(term, ClassHead):
        return _same_state(name, term, parent_terms, weights)
    order = sorted(parent_terms, key=lambda other: other != name)
    for other in order:
        key = f"objective.terms.{other}.weight"
        if key not in weights or _shape(other, term, weights) != term.weight.shape:
            continue
        if _kind(other) == _kind(name) or (term.cosine and parent_terms[other].cosine):
            return other
    return None


def _kind(term_name: str) -> str:
    """arcface of arcface_2."""
    return re.sub(r"_\d+$", "", term_name)


def _shape(term_name: str, term: ClassHead, weights: dict) -> torch.Size:
    """Of the weights that `term` would take: one centre of several, unless it has several too."""
    shape = weights[f"objective.terms.{term_name}.weight"].shape
    return shape if len(shape) == term.weight.ndim else shape[:1] + shape[2:]


def _same_state(
    name: str, term: nn.Module, parent_terms: Mapping[str, Term], weights: dict
) -> str | None:
    """The parent's term of the same kind with a state of the same shapes (centres), or None."""
    own = {key: value.shape for key, value in term.state_dict().items()}
    for other in sorted(parent_terms, key=lambda other: other != name):
        keys = {key: weights.get(f"objective.terms.{other}.{key}") for key in own}
        fits = all(v is not None and v.shape == own[k] for k, v in keys.items())
        if own and fits and _kind(other) == _kind(name):
            return other
    return None


def _require_same_contract(own: Preprocessing, parent: Checkpoint) -> None:
    theirs = parent.meta.preprocessing
    for key in ("channels", "colour", "mean", "std"):
        a, b = getattr(own, key), getattr(theirs, key)
        if not np.array_equal(a, b):
            raise UserError(
                f"{parent.folder}: its network was trained with {key} {b}, this recipe says {a}; "
                f"set data.{key} to match"
            )


def load_embedder(embedder: Embedder, parent: Checkpoint) -> dict[str, torch.Tensor]:
    """Loads the parent's embedder and returns all of its weights; errors as `start_from`."""
    _require_same_contract(embedder.preprocessing, parent)
    weights = parent.weights()
    prefix = "embedder."
    state = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    own = embedder.state_dict()
    unlike = [k for k in own if k not in state or state[k].shape != own[k].shape]
    unlike += [k for k in state if k not in own]
    trained = parent.meta.recipe.model
    stem: str = trained.stem
    if stem == "auto" and trained.backbone in backbone_names():
        stem = choose_stem(trained.backbone, parent.meta.recipe.data.image_size)
    if isinstance(embedder.backbone, Backbone) and embedder.backbone.stem_kind != stem:
        unlike.append("model.stem")  # two of the three have weights of one shape
    if unlike:
        raise UserError(
            f"{parent.folder}: a checkpoint of another network (backbone {trained.backbone}, "
            f"embedding {trained.embedding}, stem {stem}, neck {trained.neck}); "
            f"first difference: {unlike[0]}; make `model:` the same, or name another init"
        )
    embedder.load_state_dict(state)
    return weights
