"""The kit's own backbones by name: (class, setting) of each."""

import copy
from typing import Any

import torch
from torch import nn

from starter.models import convnext, face_networks, mobilenet, nfnet, plain, regnet, resnet
from starter.models.blocks import Backbone
from starter.models.regularise import Regularise
from starter.models.stems import choose

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


def choose_stem(name: str, image_size: int) -> str:
    """What `stem: auto` means for one of backbone_names() and square images of so many pixels."""
    network, setting = NETWORKS[name]
    stems = getattr(setting, "stems", network.STEMS_BY_COST)
    return choose(stems, network.REDUCTION, network.SMALLEST, image_size)


def published_pool(name: str) -> str:
    """What `pool: auto` means for one of backbone_names()."""
    network, setting = NETWORKS[name]
    return getattr(setting, "pool", network.POOL)


def build_family(name: str, *, in_channels: int, stem: str, regularise: Regularise) -> Backbone:
    """The network of one of backbone_names(), with fresh weights and average pooling."""
    network, setting = NETWORKS[name]
    make: Any = network
    return make(setting, in_channels=in_channels, stem=stem, regularise=regularise)


def last_map(backbone: nn.Module, in_channels: int, image_size: int) -> tuple[int, int, int]:
    """(F, H, W) of what `backbone.features` gives, without computing it."""
    twin: Any = copy.deepcopy(backbone).to("meta").eval()
    with torch.no_grad():
        shape = twin.features(torch.empty(1, in_channels, image_size, image_size, device="meta"))
    return tuple(shape.shape[1:])
