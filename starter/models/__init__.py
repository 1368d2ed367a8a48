"""Image -> embedding: backbones from scratch, timm's, your own, the neck, a competition's rules."""

from starter.models.blocks import Backbone
from starter.models.embedder import Embedder, Preprocessing
from starter.models.external import file_hash
from starter.models.registry import (
    backbone_names,
    build,
    choose_stem,
    pretrained_preprocessing,
    resolve,
)
from starter.models.rules import check_rules, count_parameters
from starter.recipe.own import is_own, source_hash

__all__ = [
    "Backbone",
    "Embedder",
    "Preprocessing",
    "backbone_names",
    "build",
    "check_rules",
    "choose_stem",
    "count_parameters",
    "file_hash",
    "is_own",
    "pretrained_preprocessing",
    "resolve",
    "source_hash",
]
