"""`model.init_from`: weights from a file, for competitions that allow them."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from starter.errors import UserError

PREFIXES = ("embedder.backbone.", "backbone.", "module.", "model.")  # ours, then others' wrappers


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
    for prefix in PREFIXES:
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
