"""timm's backbones, as `timm/NAME`, for competitions that allow them."""

from typing import Any

from torch import nn

from starter.errors import UserError

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
