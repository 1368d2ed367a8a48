"""Backbones that are not the kit's: timm's, as `timm/NAME`, and a user's own,
`model.backbone: path/to/net.py:Class`.

An own class is an nn.Module whose constructor takes what it needs of in_channels, image_size, stem,
drop_path, drop_block, layer_scale, zero_init_last; its forward gives a feature map (B, F, H, W)
or features (B, F).
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from starter.errors import UserError
from starter.models.blocks import Backbone
from starter.models.necks import wide
from starter.recipe.own import error_text, load_own, split_own

PREFIX = "timm/"


def build_timm(
    name: str, *, in_channels: int, image_size: int, drop_path: float, pretrained: bool
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
            why = error_text(error, split_own(spec)[0])
            raise UserError(f"model.backbone: {spec} failed: {why}") from error
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
