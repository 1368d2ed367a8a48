"""Entries `tv/NAME`: transforms of torchvision.transforms.v2 among those of albumentations.

Shapes: H W pixels, C channels.
"""

import enum
import inspect
from typing import Any

import albumentations as A
import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from starter.recipe.names import NO_STEPS

# torchvision draws from torch's global generator, which dropout draws from at the same time in
# another thread: these functions get the image's own generator instead.
DRAWING = frozenset(
    {
        torch.rand,
        torch.randn,
        torch.randint,
        torch.randperm,
        torch.normal,
        torch.bernoulli,
        torch.multinomial,
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
        torch.Tensor.bernoulli_,
        torch.Tensor.random_,
        torch.Tensor.exponential_,
        torch._sample_dirichlet,
    }
)
TENSORS = {"GaussianNoise", "JPEG", "RandomErasing"}  # take no PIL image; the others are faster so


class _OwnGenerator(TorchFunctionMode):
    """In this thread, torch draws from `generator`."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.randn_like:  # takes no generator in older versions
            like = args[0]
            return torch.randn(
                like.shape, generator=self.generator, dtype=kwargs.get("dtype") or like.dtype
            )
        if func in DRAWING:
            kwargs.setdefault("generator", self.generator)
        return func(*args, **kwargs)


def find(name: str) -> type | None:
    """torchvision's transform of that name; None for none, or one that varies no single image."""
    from torchvision.transforms import v2

    found = getattr(v2, name, None)
    is_step = isinstance(found, type) and issubclass(found, v2.Transform)
    return found if is_step and name not in NO_STEPS else None


class TorchvisionStep(A.ImageOnlyTransform):
    """One torchvision transform as albumentations calls it: seeded for every image.

    It decides itself how often it acts: it has torchvision's own p, or none.
    """

    def __init__(self, kind: type, arguments: dict[str, Any]):
        super().__init__(p=1.0)
        self.kind = kind
        self.transform = kind(**_enums(kind, arguments))
        self._generator = torch.Generator()

    def get_params(self) -> dict[str, Any]:
        return {"seed": self.py_random.getrandbits(63)}

    def apply(self, img: np.ndarray, seed: int, **params: Any) -> np.ndarray:
        self._generator.manual_seed(seed)
        with _OwnGenerator(self._generator), torch.no_grad():
            if self.kind.__name__ in TENSORS:
                tensor_CHW = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))
                return self.transform(tensor_CHW).numpy().transpose(1, 2, 0)
            made = self.transform(_picture(img))
        return np.atleast_3d(np.asarray(made))


def _picture(image_HWC: np.ndarray):
    from PIL import Image

    return Image.fromarray(image_HWC[..., 0] if image_HWC.shape[2] == 1 else image_HWC)


def _enums(kind: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """YAML has text where torchvision wants a member: interpolation: bilinear, policy: cifar10."""
    found = dict(arguments)
    for name, parameter in inspect.signature(kind).parameters.items():
        if isinstance(parameter.default, enum.Enum) and isinstance(found.get(name), str):
            found[name] = type(parameter.default)(found[name])
    return found
