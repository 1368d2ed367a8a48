"""A user's own network: `model.backbone: path/to/net.py:Class`.

The class is an nn.Module whose constructor takes what it needs of in_channels, image_size, stem,
drop_path, drop_block, layer_scale, zero_init_last; its forward gives a feature map (B, F, H, W)
or features (B, F).
"""

import hashlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from starter.errors import UserError
from starter.models.blocks import Backbone
from starter.models.necks import wide
from starter.recipe.names import is_own, split_own

__all__ = ["OwnBackbone", "is_own", "source_hash"]


def source_hash(spec: str) -> str:
    """sha256 of the network's file, hex: the same text is the same network wherever it lies."""
    path, _ = split_own(spec)
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"model.backbone: {path}: {error.strerror}") from None


def load_class(spec: str) -> type[nn.Module]:
    """The class that `path/to/net.py:Class` names, its file run afresh."""
    path, name = split_own(spec)
    text = str(path.absolute()).encode() + b"\0" + _read(path)
    module_name = f"own_network_{hashlib.sha256(text).hexdigest()[:12]}"
    if module_name not in sys.modules:
        found = importlib.util.spec_from_file_location(module_name, path)
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        sys.modules[module_name] = module  # dataclasses and pickle look their class up there
        try:
            found.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            told = _told(error, path)
            raise UserError(f"model.backbone: {path} cannot be run: {told}") from error
    network = getattr(sys.modules[module_name], name, None)
    if not (inspect.isclass(network) and issubclass(network, nn.Module)):
        raise UserError(f"model.backbone: {path} has no torch.nn.Module class {name!r}")
    return network


def _told(error: BaseException, path: Path) -> str:
    """The error with the last line of the user's file that it came through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f" (line {lines[-1]} of {path})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


class OwnBackbone(Backbone):
    """image_BCHW -> feature_BF around a user's network, pooled where it gives a map.

    options: the recipe's values that are not their defaults; each has to be an argument of the
    class. Raises UserError for what the file can get wrong, with its line.
    """

    RECOMPUTES = False

    def __init__(self, spec: str, *, in_channels: int, image_size: int, options: dict[str, Any]):
        super().__init__("auto")
        network = load_class(spec)
        parameters = inspect.signature(network).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for key, value in options.items():
            if key not in parameters and not takes_all:
                raise UserError(f"model.{key}: {value} is no argument of {spec}; leave it out")
        given = {"in_channels": in_channels, "image_size": image_size, **options}
        image = torch.zeros(2, in_channels, image_size, image_size)
        try:
            self.net = network(**{k: v for k, v in given.items() if k in parameters or takes_all})
            self.net.eval()
            with torch.no_grad():
                result = self.net(image)
        except Exception as error:
            told = _told(error, split_own(spec)[0])
            raise UserError(f"model.backbone: {spec} failed: {told}") from error
        self.net.train()
        if not isinstance(result, Tensor) or result.ndim not in (2, 4) or len(result) != 2:
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise UserError(
                f"model.backbone: {spec} gives {shape} for a batch of 2; it has to give a map "
                "(2, F, H, W) or features (2, F)"
            )
        _, features, *sides = result.shape
        self.map_shape = (features, sides[0], sides[1]) if sides else None
        self.num_features = result.shape[1]

    def features(self, image_BCHW: Tensor) -> Tensor:
        return self.net(image_BCHW)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x = self.features(image_BCHW)
        return wide(x) if self.map_shape is None else self.pool(x)
