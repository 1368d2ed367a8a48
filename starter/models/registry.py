"""Embedders by the name of their backbone."""

import dataclasses
import logging
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from starter.errors import UserError
from starter.models import external, families, own
from starter.models.blocks import Backbone
from starter.models.embedder import Embedder, Preprocessing
from starter.models.init_from import init_from
from starter.models.names import wrong_name
from starter.models.necks import make_neck, make_pool
from starter.models.regularise import Regularise
from starter.recipe.own import is_own
from starter.recipe.schema import ModelSection

log = logging.getLogger(__name__)


def build(
    name: str,
    *,
    in_channels: int,
    image_size: int,
    embedding: int,
    preprocessing: Preprocessing | None = None,
    **options: Any,
) -> Embedder:
    """An embedder with fresh weights (or those of timm or a file), in channels_last.

    name: one of backbone_names(), "timm/NAME", or a user's own "path/to/net.py:Class".
    in_channels: 1 or 3. image_size: pixels; takes precedence over the one in `preprocessing`,
    since a later stage may change it. embedding: D. preprocessing: that of the weights to be
    loaded; by default pixels in -1..1, or timm's for pretrained weights. options: the other keys
    of ModelSection, with its defaults. Raises UserError for what a recipe can get wrong.
    """
    section = _section(name, embedding, options)
    if wrong := wrong_name(name):
        raise UserError(f"model.backbone: {wrong}")
    backbone = _backbone(section, in_channels, image_size)
    if section.init_from is not None:
        log.info("%s", init_from(backbone, section.init_from))
    neck = make_neck(section.neck, backbone.num_features, embedding, section.dropout)  # type: ignore[arg-type]
    default = Preprocessing.default(image_size, in_channels)
    if section.pretrained:
        default = _pretrained(backbone, default)
    preprocessing = dataclasses.replace(preprocessing or default, image_size=image_size)
    outside = section.pretrained or section.init_from is not None
    embedder = Embedder(backbone, neck, preprocessing, outside)
    embedder.set_memory_format(torch.channels_last)
    return embedder


def pretrained_preprocessing(embedder: Embedder) -> Preprocessing:
    """What the embedder's preprocessing would be with its pretrained weights' own statistics."""
    assert embedder.pretrained
    return _pretrained(embedder.backbone, embedder.preprocessing)


def _pretrained(backbone: nn.Module, like: Preprocessing) -> Preprocessing:
    mean, std = external.pretrained_statistics(backbone)
    if like.channels == 1:  # timm sums the colours' weights: one mean for all three
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    return dataclasses.replace(like, mean=mean, std=std)


def _section(name: str, embedding: int, options: dict[str, Any]) -> ModelSection:
    try:
        return ModelSection(backbone=name, embedding=embedding, **options)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"model.{place}: {first['msg']} (got {first['input']!r})") from error


def _backbone(section: ModelSection, in_channels: int, image_size: int) -> nn.Module:
    name = section.backbone
    if name.startswith(external.PREFIX):
        return _timm(section, in_channels, image_size)
    if section.pretrained:
        raise UserError(
            f"model.pretrained: {name} is trained from scratch; timm/{name} has weights"
            if name in families.NETWORKS
            else f"model.pretrained: {name} has no weights to fetch; model.init_from takes a file"
        )
    if is_own(name):
        return _own(section, in_channels, image_size)
    stem = families.choose_stem(name, image_size) if section.stem == "auto" else section.stem
    keys = Regularise(
        section.drop_path, section.drop_block, section.layer_scale, section.zero_init_last
    )
    backbone = families.build_family(name, in_channels=in_channels, stem=stem, regularise=keys)
    pool = families.published_pool(name) if section.pool == "auto" else section.pool
    if pool != "avg":
        _set_pool(backbone, pool, families.last_map(backbone, in_channels, image_size))
    return backbone


def _set_pool(backbone: Backbone, kind: str, shape: tuple[int, int, int]) -> None:
    backbone.pool, backbone.num_features = make_pool(kind, shape)


def _timm(section: ModelSection, in_channels: int, image_size: int) -> nn.Module:
    default = ModelSection()
    for key in ("stem", "pool", "drop_block", "layer_scale", "zero_init_last"):
        if getattr(section, key) != getattr(default, key):
            raise UserError(f"model.{key}: {section.backbone} has its own; leave {key} out")
    return external.build_timm(
        section.backbone,
        in_channels=in_channels,
        image_size=image_size,
        drop_path=section.drop_path,
        pretrained=section.pretrained,
    )


def _own(section: ModelSection, in_channels: int, image_size: int) -> nn.Module:
    default = ModelSection()
    options = {
        key: getattr(section, key)
        for key in ("stem", "drop_path", "drop_block", "layer_scale", "zero_init_last")
        if getattr(section, key) != getattr(default, key)
    }
    backbone = own.OwnBackbone(
        section.backbone, in_channels=in_channels, image_size=image_size, options=options
    )
    if section.pool != "auto":
        if backbone.map_shape is None:
            raise UserError(
                f"model.pool: {section.backbone} gives features, not a map; leave pool out"
            )
        _set_pool(backbone, section.pool, backbone.map_shape)
    return backbone
