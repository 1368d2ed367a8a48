"""Backbones by name."""

import dataclasses
import difflib
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from starter.models import external
from starter.models.embedder import Embedder, Preprocessing, make_neck
from starter.models.resnet import SETTINGS, ResNet, choose_stem
from starter.recipe import UserError
from starter.recipe.schema.model import ModelSection


def backbone_names() -> list[str]:
    """The kit's own backbones; timm's come besides, as `timm/NAME`."""
    return list(SETTINGS)


def build(
    name: str,
    *,
    in_channels: int,
    image_size: int,
    embedding: int,
    preprocessing: Preprocessing | None = None,
    **options: Any,
) -> Embedder:
    """An embedder with fresh weights (or timm's, with pretrained=True), in channels_last.

    name: one of backbone_names(), or "timm/NAME". in_channels: 1 or 3. image_size: pixels; takes
    precedence over the one in `preprocessing`, since a later stage may change it. embedding: D.
    preprocessing: that of the weights to be loaded; by default pixels in -1..1, or timm's for
    pretrained weights. options: drop_path, dropout, stem, neck, pretrained; their defaults are
    ModelSection's. Raises UserError for what a recipe can get wrong.
    """
    section = _section(name, embedding, options)
    backbone = _backbone(section, in_channels, image_size)
    neck = make_neck(section.neck, backbone.num_features, embedding, section.dropout)  # type: ignore[arg-type]
    default = Preprocessing.default(image_size, in_channels)
    if section.pretrained:
        default = _pretrained(backbone, default)
    preprocessing = dataclasses.replace(preprocessing or default, image_size=image_size)
    embedder = Embedder(backbone, neck, preprocessing, section.pretrained)
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
        if section.stem != "auto":
            raise UserError(f"model.stem: {name} has its own; leave stem at auto")
        return external.build_timm(
            name,
            in_channels=in_channels,
            image_size=image_size,
            drop_path=section.drop_path,
            pretrained=section.pretrained,
        )
    if name not in SETTINGS:
        close = difflib.get_close_matches(name, SETTINGS, n=1) + external.suggest_timm(name)
        hint = f"did you mean {', '.join(close)}? " if close else ""
        raise UserError(
            f"model.backbone: no backbone {name!r}; {hint}"
            f"The kit's own are {', '.join(SETTINGS)}; timm's are timm/NAME"
        )
    if section.pretrained:
        raise UserError(
            f"model.pretrained: {name} is trained from scratch; timm/{name} has weights"
        )
    stem = choose_stem(image_size) if section.stem == "auto" else section.stem
    return ResNet(SETTINGS[name], in_channels=in_channels, stem=stem, drop_path=section.drop_path)
