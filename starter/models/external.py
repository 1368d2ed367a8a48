"""What is not the kit's: timm's backbones, as `timm/NAME`, a user's own, `model.backbone:
path/to/net.py:Class`, and weights from a file, `model.init_from`.

An own class is an nn.Module whose constructor takes what it needs of in_channels, image_size, stem,
drop_path, drop_block, layer_scale, zero_init_last (image_size is an int, or (height, width) where
the recipe gives two numbers); its forward gives a feature map (B, F, H, W)
or features (B, F).
"""

import hashlib
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from starter.errors import UserError
from starter.models.blocks import Backbone
from starter.models.layers import wide
from starter.recipe.own import error_text, load_own, split_own
from starter.recipe.schema.base import Size, sides

PREFIX = "timm/"
WRAPPERS = ("embedder.backbone.", "backbone.", "module.", "model.")  # ours, then others' wrappers


def build_timm(
    name: str, *, in_channels: int, image_size: Size, drop_path: float, pretrained: bool
) -> nn.Module:
    """timm's network `name` ("timm/" in front, a weights tag allowed) without its classifier.

    Returns a module image_BCHW -> feature_BF with the attribute `num_features` = F.
    Raises UserError for weights that cannot be had and for options the network does not take.
    """
    import timm

    bare = name.removeprefix(PREFIX)
    options: dict[str, Any] = {}
    if drop_path:  # left out at 0: many networks do not take the argument at all
        options["drop_path_rate"] = drop_path
    config = timm.get_pretrained_cfg(bare.partition(".")[0])
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    try:
        backbone = timm.create_model(
            bare, pretrained=pretrained, num_classes=0, in_chans=in_channels, **options
        )
    except (TypeError, AssertionError, ValueError) as error:
        raise UserError(
            f"model.backbone: {name} cannot be built with {options or 'these options'}: {error}"
        ) from error
    except (OSError, RuntimeError) as error:
        wanted = "its pretrained weights (no internet?)" if pretrained else "that configuration"
        raise UserError(f"model.backbone: timm could not give {name} {wanted}: {error}") from error
    # Networks with a layer between pooling and classifier (MobileNetV3) are wider after it.
    backbone.num_features = getattr(backbone, "head_hidden_size", backbone.num_features)
    return backbone


def pretrained_statistics(backbone: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std), on the 0..1 scale, of the images a timm network's weights were trained on."""
    config: Any = backbone.pretrained_cfg
    return tuple(config["mean"]), tuple(config["std"])


def load_class(spec: str) -> type[nn.Module]:
    """The class that `path/to/net.py:Class` names. UserError where it is no network."""
    network = load_own(spec)
    if not (inspect.isclass(network) and issubclass(network, nn.Module)):
        raise UserError(f"{spec} is no torch.nn.Module class")
    return network


class OwnBackbone(Backbone):
    """image_BCHW -> feature_BF around a user's network, pooled where it gives a map.

    options: the recipe's values that are not their defaults; each has to be an argument of the
    class. Raises UserError for what the file can get wrong, with its line.
    """

    RECOMPUTES = False

    def __init__(self, spec: str, *, in_channels: int, image_size: Size, options: dict[str, Any]):
        super().__init__("auto")
        network = load_class(spec)
        parameters = inspect.signature(network).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for key, value in options.items():
            if key not in parameters and not takes_all:
                raise UserError(f"model.{key}: {value} is no argument of {spec}; leave it out")
        given = {"in_channels": in_channels, "image_size": image_size, **options}
        image = torch.zeros(2, in_channels, *sides(image_size))
        try:
            self.net = network(**{k: v for k, v in given.items() if k in parameters or takes_all})
            self.net.eval()
            with torch.no_grad():
                result = self.net(image)
        except Exception as error:
            why = error_text(error, split_own(spec)[0])
            raise UserError(f"model.backbone: {spec} failed: {why}") from error
        self.net.train()
        if not isinstance(result, Tensor) or result.ndim not in (2, 4) or len(result) != 2:
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise UserError(
                f"model.backbone: {spec} gives {shape} for a batch of 2; it has to give a map "
                "(2, F, H, W) or features (2, F)"
            )
        _, features, *places = result.shape
        self.map_shape = (features, places[0], places[1]) if places else None
        self.num_features = result.shape[1]

    def features(self, image_BCHW: Tensor) -> Tensor:
        return self.net(image_BCHW)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x = self.features(image_BCHW)
        return wide(x) if self.map_shape is None else self.pool(x)


def file_hash(path: str) -> str:
    """sha256 of the file, hex: the weights count, not where they lie."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"model.init_from: {path}: {error.strerror}") from None


def read_weights(path: str) -> dict[str, Tensor]:
    """The tensors by name of a .safetensors file or of a state dict saved by torch.save."""
    if not Path(path).is_file():
        raise UserError(f"model.init_from: {path}: no such file")
    try:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        saved = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise UserError(f"model.init_from: {path} cannot be read: {error}") from error
    for key in ("state_dict", "model", "state_dict_ema"):  # what training scripts wrap it in
        if isinstance(saved, dict) and isinstance(saved.get(key), dict):
            saved = saved[key]
    if not isinstance(saved, dict):
        raise UserError(f"model.init_from: {path} holds {type(saved).__name__}, not a state dict")
    return {k: v for k, v in saved.items() if isinstance(v, Tensor)}


def adapt(weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of `weights` that fit `own`, in its shapes.

    A first convolution for three channels becomes one for a single channel by its sum, as timm
    does; a 1x1 convolution and a linear layer hold the same numbers.
    """
    fitting = {}
    for name, value in weights.items():
        wanted = own.get(name)
        if wanted is None:
            continue
        if value.shape == wanted.shape:
            fitting[name] = value
        elif value.ndim == 4 and value.flatten(1).shape == wanted.shape:
            fitting[name] = value.flatten(1)
        elif value.ndim == 4 and value.shape[1] == 3 and value.sum(1, True).shape == wanted.shape:
            fitting[name] = value.sum(1, keepdim=True)
    return fitting


def init_from(backbone: nn.Module, path: str) -> str:
    """Loads what fits from `path` into the backbone and says what did.

    Raises:
        UserError: less than half of the backbone's tensors are in the file.
    """
    own = backbone.state_dict()
    weights = read_weights(path)
    for prefix in WRAPPERS:
        if any(name.startswith(prefix) for name in weights):
            inside = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            if len(adapt(inside, own)) > len(adapt(weights, own)):
                weights = inside
    fitting = adapt(weights, own)
    absent = [name for name in own if name not in fitting]
    unused = [name for name in weights if name not in fitting]
    summary = (
        f"model.init_from: {path}: {len(fitting)} of the backbone's {len(own)} tensors loaded; "
        f"not in the file: {_some(absent)}; not used: {_some(unused)}"
    )
    if 2 * len(fitting) < len(own):
        raise UserError(f"{summary}; these are another network's weights")
    backbone.load_state_dict(own | fitting)
    return summary


def _some(names: list[str]) -> str:
    more = f", ... ({len(names)})" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "none"
