"""Image -> embedding: backbones from scratch, timm's, the neck, and a competition's rules."""

from starter.models.embedder import Embedder, Preprocessing
from starter.models.registry import backbone_names, build, pretrained_preprocessing
from starter.models.resnet import choose_stem
from starter.models.rules import check_rules, count_parameters

__all__ = [
    "Embedder",
    "Preprocessing",
    "backbone_names",
    "build",
    "check_rules",
    "choose_stem",
    "count_parameters",
    "pretrained_preprocessing",
]
