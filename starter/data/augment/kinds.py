"""What the kinds of a recipe's `augment:` name: albumentations', torchvision's, the user's own.

Steps of torchvision and of the user become albumentations', so that they can stand inside its own.

Shapes: H W pixels, C channels.
"""

import enum
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import albumentations as A
import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from torch.overrides import TorchFunctionMode
from torchvision.transforms import v2

from starter.recipe.named import fill, find, problem, raise_all
from starter.recipe.own import error_text, is_own, split_own
from starter.recipe.problems import Problem
from starter.recipe.reader import Document
from starter.recipe.schema.base import Origin
from starter.recipe.schema.data import AugmentStep

log = logging.getLogger(__name__)

CHILDREN = ("transforms", "first", "second")  # arguments of OneOf and the like: steps themselves
TORCHVISION = "tv/"  # before the name of one of torchvision's transforms
# albumentations' that are bases, stand in the place of the kit's own pipeline, or take functions
NOT_ALBUMENTATIONS = (
    "BaseCompose BasicTransform DualTransform ImageOnlyTransform Transform3D Compose ReplayCompose "
    "Lambda"
)
# torchvision's that hold others, mix a batch, or change what an image is
NOT_TORCHVISION = (
    "ClampBoundingBoxes ClampKeyPoints Compose ConvertBoundingBoxFormat ConvertImageDtype CutMix "
    "FiveCrop Identity Lambda LinearTransformation MixUp Normalize PILToTensor RandomApply "
    "RandomChoice RandomIoUCrop RandomOrder RandomResize RandomShortestSize SanitizeBoundingBoxes "
    "SanitizeKeyPoints ScaleJitter SetClampingMode TenCrop ToDtype ToImage ToPILImage ToPureTensor "
    "ToTensor Transform UniformTemporalSubsample"
)
TENSORS = {"GaussianNoise", "JPEG", "RandomErasing"}  # take no PIL image; the others are faster so
# torch's functions and methods that draw
DRAWING = (
    "rand randn randint randperm normal bernoulli multinomial uniform_ normal_ bernoulli_ random_ "
    "exponential_ _sample_dirichlet"
)
STEP = "should be a step such as {kind: HorizontalFlip, p: 0.5}"
YOURS = "torchvision's are tv/NAME, yours path/to/aug.py:Step"


def resolve(steps: tuple[AugmentStep, ...]) -> tuple[tuple[AugmentStep, ...], list[Problem]]:
    """The steps as they are, and what is wrong with them: an unknown transform, an argument that
    its signature lacks, a bad value; of the steps inside them too."""
    return steps, [wrong for step in steps for wrong in _transform(step)[1]]


def build_transforms(steps: Sequence[AugmentStep]) -> list[Any]:
    """A callable object `transform(image=...)` for each step. UserError for what `resolve` says."""
    for number, step in enumerate(steps):
        if step._origin is None:  # of no recipe file
            step._origin = Origin(Document({}), ("augment", number))
    made = [_transform(step) for step in steps]
    raise_all(wrong for _, problems in made for wrong in problems)
    return [transform for transform, _ in made]


def reason(error: Exception, kind: str) -> str:
    """What a step raised: without pydantic's frame, with the line of the user's own file."""
    if is_own(kind):
        return error_text(error, split_own(kind)[0])
    return " ".join(str(error).split()) or type(error).__name__


def _transform(step: AugmentStep) -> tuple[Any, list[Problem]]:
    """The albumentations object of one step, with the steps inside it; or what is wrong."""
    kind = find(step, "transform", library_transforms(), YOURS)
    if isinstance(kind, Problem):
        return None, [kind]
    if not inspect.isclass(kind):
        return None, [problem(step, "kind", f"{step.kind} is no class")]
    options = step.options
    p = options.pop("p", 1.0) if is_own(step.kind) else options.get("p", 1.0)
    _, problems = fill(step.with_options(options), kind, given=("strict",), typed=False)
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
        problems.append(problem(step, "p", f"should be a number from 0 to 1 (got {p!r:.60})"))
    for name in set(CHILDREN) & set(options):
        options[name], wrong = _children(step, name, options[name])
        problems += wrong
    if problems:
        return None, problems
    try:
        if is_own(step.kind):
            return OwnStep(kind(**options), p), []
        if step.kind.startswith(TORCHVISION):
            return TorchvisionStep(kind, options), []
        return _albumentations(kind, options), []
    except Exception as error:  # whatever someone else's class raises
        return None, list(_mistakes(step, error))


@cache
def library_transforms() -> dict[str, type]:
    """Every step of the installed albumentations by its name, and of torchvision as tv/NAME."""
    return {
        prefix + name: kind
        for prefix, library, base, left_out in (
            ("", A, A.BasicTransform | A.BaseCompose, NOT_ALBUMENTATIONS),
            (TORCHVISION, v2, v2.Transform, NOT_TORCHVISION),
        )
        for name, kind in sorted(vars(library).items())
        if inspect.isclass(kind)
        and issubclass(kind, base)
        and name not in left_out.split()
        and not inspect.isabstract(kind)
    }


def _albumentations(kind: Any, options: dict[str, Any]) -> Any:
    # In strict mode albumentations raises for values that it else replaces by defaults with a
    # warning. Classes whose __init__ its metaclass did not wrap lack that argument.
    strict = {"strict": True} if hasattr(kind.__init__, "__signature__") else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        transform = kind(**{key: _tuples(value) for key, value in options.items()}, **strict)
    for warning in caught:
        _warn_once(f"{kind.__name__}: {warning.message}")
    return transform


@cache
def _warn_once(text: str) -> None:
    log.warning("augment: %s", text)


def _children(step: AugmentStep, name: str, value: Any) -> tuple[Any, list[Problem]]:
    """The objects of the steps inside a step: one, or a list of them."""
    if not isinstance(value, list | tuple):
        return _child(step, name, value)
    if not value:
        return [], [problem(step, name, "should hold at least one step (got [])")]
    made = [_child(step, f"{name}.{i}", child) for i, child in enumerate(value)]
    return [child for child, _ in made], [wrong for _, problems in made for wrong in problems]


def _child(step: AugmentStep, key: str, value: Any) -> tuple[Any, list[Problem]]:
    here = problem(step, key, STEP)
    try:
        child = AugmentStep.model_validate(value)
    except ValidationError:
        return None, [here]
    document = step._origin.document if step._origin else Document({})
    child._origin = Origin(document, here.path)
    return _transform(child)


def _mistakes(step: AugmentStep, error: Exception) -> Iterator[Problem]:
    """What a constructor raised: albumentations checks its values by pydantic."""
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        yield problem(step, None, reason(error, step.kind))
        return
    texts: dict[str | None, list[str]] = {}  # by key; a union has one for each of its branches
    for mistake in cause.errors():
        key = str(mistake["loc"][0]) if mistake["loc"] else None
        text = mistake["msg"].removeprefix("Input ").removeprefix("Value error, ")
        texts.setdefault(key if key in step.options else None, []).append(text)
    for key, branches in texts.items():
        got = step.options if key is None else step.options[key]
        yield problem(step, key, f"{'; or '.join(dict.fromkeys(branches))} (got {got!r:.60})")


def _tuples(value: Any) -> Any:
    """YAML has lists; albumentations wants tuples, but lists of transforms."""
    if isinstance(value, list | tuple) and not any(hasattr(item, "apply") for item in value):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


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
        if func.__name__ in DRAWING.split():
            kwargs.setdefault("generator", self.generator)
        return func(*args, **kwargs)


def _enums(kind: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """YAML has text where torchvision wants a member: interpolation: bilinear, policy: cifar10."""
    values = dict(arguments)
    for name, parameter in inspect.signature(kind).parameters.items():
        if isinstance(parameter.default, enum.Enum) and isinstance(values.get(name), str):
            values[name] = type(parameter.default)(values[name])
    return values
