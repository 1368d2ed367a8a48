"""Steps that are not albumentations', as it calls its own: torchvision's `tv/NAME`, the user's own.

Shapes: H W pixels, C channels.
"""

import enum
import inspect
from functools import cache
from typing import Any

import albumentations as A
import numpy as np
import torch
from PIL import Image
from torch.overrides import TorchFunctionMode
from torchvision.transforms import v2

TORCHVISION = "tv/"  # before the name of one of torchvision's transforms
# torchvision's that hold others, mix a batch, or change what an image is
NO_STEPS = (
    "ClampBoundingBoxes ClampKeyPoints Compose ConvertBoundingBoxFormat ConvertImageDtype CutMix "
    "FiveCrop Identity Lambda LinearTransformation MixUp Normalize PILToTensor RandomApply "
    "RandomChoice RandomIoUCrop RandomOrder RandomResize RandomShortestSize SanitizeBoundingBoxes "
    "SanitizeKeyPoints ScaleJitter SetClampingMode TenCrop ToDtype ToImage ToPILImage ToPureTensor "
    "ToTensor Transform UniformTemporalSubsample"
)
DRAWING = {
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
TENSORS = {"GaussianNoise", "JPEG", "RandomErasing"}  # take no PIL image; the others are faster so


class OwnStep(A.ImageOnlyTransform):
    """A user's `step(image_HWC, rng) -> image_HWC`, uint8, which acts with probability p.

    rng: numpy's Generator, seeded for every image. The step may overwrite its image.
    """

    def __init__(self, step: Any, p: float):
        super().__init__(p=p)
        self.step = step

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        return self.step(img, self.random_generator)


class TorchvisionStep(A.ImageOnlyTransform):
    """One of torchvision's transforms, seeded for every image.

    It decides itself how often it acts: it has torchvision's own p, or none.
    """

    def __init__(self, kind: type, arguments: dict[str, Any]):
        super().__init__(p=1.0)
        self.on_tensors = kind.__name__ in TENSORS
        self.transform = kind(**_enums(kind, arguments))
        self._generator = torch.Generator()

    def get_params(self) -> dict[str, Any]:
        return {"seed": self.py_random.getrandbits(63)}

    def apply(self, img: np.ndarray, seed: int, **params: Any) -> np.ndarray:
        self._generator.manual_seed(seed)
        with _OwnGenerator(self._generator), torch.no_grad():
            if self.on_tensors:
                tensor_CHW = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))
                return self.transform(tensor_CHW).numpy().transpose(1, 2, 0)
            picture = Image.fromarray(img[..., 0] if img.shape[2] == 1 else img)
            return np.atleast_3d(np.asarray(self.transform(picture)))


@cache
def torchvision_transforms() -> dict[str, type]:
    """Every step of the installed torchvision by its name without tv/."""
    return {
        name: kind
        for name, kind in sorted(vars(v2).items())
        if inspect.isclass(kind) and issubclass(kind, v2.Transform) and name not in NO_STEPS.split()
    }


class _OwnGenerator(TorchFunctionMode):
    """In this thread, torch draws from `generator`.

    torchvision draws from torch's global generator, which dropout draws from at the same time in
    another thread.
    """

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.randn_like:  # takes no generator in older versions
            dtype = kwargs.get("dtype") or args[0].dtype
            return torch.randn(args[0].shape, generator=self.generator, dtype=dtype)
        if func in DRAWING:
            kwargs.setdefault("generator", self.generator)
        return func(*args, **kwargs)


def _enums(kind: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """YAML has text where torchvision wants a member: interpolation: bilinear, policy: cifar10."""
    values = dict(arguments)
    for name, parameter in inspect.signature(kind).parameters.items():
        if isinstance(parameter.default, enum.Enum) and isinstance(values.get(name), str):
            values[name] = type(parameter.default)(values[name])
    return values
