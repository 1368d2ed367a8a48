"""Embedders by the name of their backbone: the kit's, timm's with a tag, a user's own."""

import copy
import dataclasses
import difflib
import logging
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from starter.errors import UserError
from starter.models import (
    convnext,
    external,
    face_networks,
    mobilenet,
    nfnet,
    plain,
    regnet,
    resnet,
)
from starter.models.blocks import Backbone
from starter.models.embedder import Embedder, Preprocessing
from starter.models.layers import Regularise, choose, make_neck, make_pool
from starter.recipe.named import problem
from starter.recipe.own import is_own
from starter.recipe.problems import Problem
from starter.recipe.schema import ModelSection
from starter.recipe.schema.base import Size, sides

log = logging.getLogger(__name__)
LISTER = (
    "`python -m starter.models` lists the kit's; timm's are timm/NAME, yours path/to/net.py:Class"
)
_FAMILIES: list[tuple[type[Backbone], dict[str, Any]]] = [
    (plain.Plain, plain.SETTINGS),
    (resnet.ResNet, resnet.SETTINGS),
    (face_networks.IResNet, face_networks.IRESNETS),
    (mobilenet.MobileNetV2, mobilenet.MOBILENETS),
    (face_networks.MobileFaceNet, face_networks.MOBILEFACENETS),
    (mobilenet.EfficientNet, mobilenet.EFFICIENTNETS),
    (convnext.ConvNeXt, convnext.SETTINGS),
    (regnet.RegNet, regnet.SETTINGS),
    (nfnet.NFNet, nfnet.SETTINGS),
]
NETWORKS: dict[str, tuple[type[Backbone], Any]] = {
    name: (network, setting)
    for network, settings in _FAMILIES
    for name, setting in settings.items()
}


def backbone_names() -> list[str]:
    """The kit's own backbones; timm's come besides, as `timm/NAME`."""
    return list(NETWORKS)


def choose_stem(name: str, image_size: Size) -> str:
    """What `stem: auto` means for one of backbone_names(): by the shorter side."""
    network, setting = NETWORKS[name]
    stems = getattr(setting, "stems", network.STEMS_BY_COST)
    return choose(stems, network.REDUCTION, network.SMALLEST, min(sides(image_size)))


def published_pool(name: str) -> str:
    """What `pool: auto` means for one of backbone_names()."""
    network, setting = NETWORKS[name]
    return getattr(setting, "pool", network.POOL)


def build(
    name: str,
    *,
    in_channels: int,
    image_size: Size,
    embedding: int,
    preprocessing: Preprocessing | None = None,
    **options: Any,
) -> Embedder:
    """An embedder with fresh weights (or those of timm or a file), in channels_last.

    name: one of backbone_names(), "timm/NAME", or a user's own "path/to/net.py:Class".
    in_channels: 1 or 3. image_size: pixels a side, or height and width; takes precedence over the
    one in `preprocessing`, since a later stage may change it. embedding: D. preprocessing: that of
    the weights to be loaded; by default pixels in -1..1, or timm's for pretrained weights. options:
    the other keys of ModelSection, with its defaults. Raises UserError for what a recipe can get
    wrong.
    """
    section = _section(name, embedding, options)
    if wrong := wrong_name(name):
        raise UserError(f"model.backbone: {wrong}")
    backbone = _backbone(section, in_channels, image_size)
    if section.init_from is not None:
        log.info("%s", external.init_from(backbone, section.init_from))
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


def _backbone(section: ModelSection, in_channels: int, image_size: Size) -> nn.Module:
    name = section.backbone
    if name.startswith(external.PREFIX):
        for key in _changed(section):
            if key != "drop_path":
                raise UserError(f"model.{key}: {name} has its own; leave {key} out")
        return external.build_timm(
            name,
            in_channels=in_channels,
            image_size=image_size,
            drop_path=section.drop_path,
            pretrained=section.pretrained,
        )
    if section.pretrained:
        raise UserError(
            f"model.pretrained: {name} is trained from scratch; timm/{name} has weights"
            if name in NETWORKS
            else f"model.pretrained: {name} has no weights to fetch; model.init_from takes a file"
        )
    if is_own(name):
        return _own(section, in_channels, image_size)
    stem = choose_stem(name, image_size) if section.stem == "auto" else section.stem
    keys = Regularise(
        section.drop_path, section.drop_block, section.layer_scale, section.zero_init_last
    )
    backbone = build_family(name, in_channels=in_channels, stem=stem, regularise=keys)
    pool = published_pool(name) if section.pool == "auto" else section.pool
    if pool != "avg":
        _set_pool(backbone, pool, last_map(backbone, in_channels, image_size))
    return backbone


def _set_pool(backbone: Backbone, kind: str, shape: tuple[int, int, int]) -> None:
    backbone.pool, backbone.num_features = make_pool(kind, shape)


def _changed(section: ModelSection) -> dict[str, Any]:
    """Those of the network's keys that are not at their defaults."""
    keys = ("stem", "pool", "drop_path", "drop_block", "layer_scale", "zero_init_last")
    fields = ModelSection.model_fields
    return {k: v for k in keys if (v := getattr(section, k)) != fields[k].default}


def _own(section: ModelSection, in_channels: int, image_size: Size) -> nn.Module:
    options = _changed(section)
    options.pop("pool", None)
    backbone = external.OwnBackbone(
        section.backbone, in_channels=in_channels, image_size=image_size, options=options
    )
    if section.pool != "auto":
        if backbone.map_shape is None:
            raise UserError(
                f"model.pool: {section.backbone} gives features, not a map; leave pool out"
            )
        _set_pool(backbone, section.pool, backbone.map_shape)
    return backbone


def resolve(section: ModelSection) -> tuple[ModelSection, list[Problem]]:
    """The section as it is, and what is wrong with its backbone's name."""
    wrong = wrong_name(section.backbone)
    return section, [problem(section, "backbone", wrong)] if wrong else []


def wrong_name(name: str) -> str | None:
    """What is wrong with a backbone's name, with the nearest ones; None for a right one."""
    if is_own(name):
        try:
            external.load_class(name)
        except UserError as error:
            return str(error)
        return None
    if name in NETWORKS:
        return None
    import timm

    architecture, _, tag = name.partition(".")
    bare = architecture.removeprefix(external.PREFIX)
    if name.startswith(external.PREFIX) and timm.is_model(bare):
        known = not tag or name.removeprefix(external.PREFIX) in timm.list_pretrained(f"{bare}.*")
        return (
            None
            if known
            else f"timm {timm.__version__} has no weights {tag!r} of {external.PREFIX}{bare}"
        )
    if architecture in NETWORKS:
        return f"{architecture} has no weights to fetch; timm's networks have (got {name!r})"
    known_names = [
        *NETWORKS,
        *(f"{external.PREFIX}{model}" for model in timm.list_models()),
    ]
    close = difflib.get_close_matches(architecture, known_names, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else LISTER
    return f"no such backbone; {hint} (got {name!r})"


def build_family(name: str, *, in_channels: int, stem: str, regularise: Regularise) -> Backbone:
    """The network of one of backbone_names(), with fresh weights and average pooling."""
    network, setting = NETWORKS[name]
    make: Any = network
    return make(setting, in_channels=in_channels, stem=stem, regularise=regularise)


def last_map(backbone: nn.Module, in_channels: int, image_size: Size) -> tuple[int, int, int]:
    """(F, H, W) of what `backbone.features` gives, without computing it."""
    twin: Any = copy.deepcopy(backbone).to("meta").eval()
    with torch.no_grad():
        shape = twin.features(torch.empty(1, in_channels, *sides(image_size), device="meta"))
    return tuple(shape.shape[1:])
