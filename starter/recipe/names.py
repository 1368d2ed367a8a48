"""Names that other packages know, from a generated table: asking them would import torch.

`python -m starter.workflow.names` writes the table; a test holds it current. Where another version
is installed than the table's, that one is asked for what the table lacks.
"""

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from starter.errors import did_you_mean
from starter.recipe.problems import Problem, place_of
from starter.recipe.reader import Document, KeyPath

TABLE = Path(__file__).with_name("names.json")
CHILDREN = ("transforms", "first", "second")  # arguments of OneOf and the like: steps themselves
BASES = {"BaseCompose", "BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D"}
OUTER = {"Compose", "ReplayCompose"}  # the kit's own pipeline stands in their place
TORCHVISION = "tv/"  # before the name of one of torchvision's transforms
# torchvision's that hold others, mix a batch, or change what an image is
NO_STEPS = frozenset(
    {
        "ClampBoundingBoxes",
        "ClampKeyPoints",
        "Compose",
        "ConvertBoundingBoxFormat",
        "ConvertImageDtype",
        "CutMix",
        "FiveCrop",
        "Identity",
        "Lambda",
        "LinearTransformation",
        "MixUp",
        "Normalize",
        "PILToTensor",
        "RandomApply",
        "RandomChoice",
        "RandomIoUCrop",
        "RandomOrder",
        "RandomResize",
        "RandomShortestSize",
        "SanitizeBoundingBoxes",
        "SanitizeKeyPoints",
        "ScaleJitter",
        "SetClampingMode",
        "TenCrop",
        "ToDtype",
        "ToImage",
        "ToPILImage",
        "ToPureTensor",
        "ToTensor",
        "Transform",
        "UniformTemporalSubsample",
    }
)


@cache
def table() -> dict:
    """versions; transforms, torchvision (name without tv/): name -> arguments."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


def check_names(document: Document) -> list[Problem]:
    """Unknown transforms and transform arguments, with did-you-mean."""
    value, problems = document.value, []
    paths: list[KeyPath] = [("augment",), ("train", "augment")]
    if isinstance(value.get("stages"), dict):
        paths += [("stages", name, "augment") for name in value["stages"]]
    for path in paths:
        section = value
        for part in path:
            section = section.get(part) if isinstance(section, dict) else None
        problems += _steps(document, path, section)
    return problems


def _steps(document: Document, path: KeyPath, steps: Any) -> list[Problem]:
    if isinstance(steps, dict):  # `first:` and `second:` of OneOrOther are one step each
        return _step(document, path, steps)
    if not isinstance(steps, list):
        return []
    return [
        problem for i, step in enumerate(steps) for problem in _step(document, (*path, i), step)
    ]


def _step(document: Document, path: KeyPath, step: Any) -> list[Problem]:
    """The step's kind, its arguments, and the steps inside it."""
    if not isinstance(step, dict) or not isinstance(step.get("kind"), str):
        return []
    kind = step["kind"]
    arguments = _arguments(kind, [name for name in step if name != "kind"])
    if arguments is None:
        own = [TORCHVISION + name for name in table()["torchvision"]]
        if kind.startswith(TORCHVISION):
            message = f"torchvision has no such transform{did_you_mean(kind, own)}"
        elif TORCHVISION + kind in own:
            message = f"albumentations has no such transform; torchvision has: {TORCHVISION}{kind}"
        else:
            message = f"albumentations has no such transform{did_you_mean(kind, _transforms())}"
        message += f" (got {kind!r})"
        return [Problem(place_of((*path, "kind"), document), (*path, "kind"), message)]
    problems = []
    for name in step:
        here = (*path, name)
        if name in CHILDREN and name in arguments:
            problems += _steps(document, here, step[name])
        elif name != "kind" and name not in arguments:
            hint = did_you_mean(name, arguments) or f"; it has {', '.join(arguments)}"
            message = f"{kind} has no such argument{hint} (got {step[name]!r:.60})"
            problems.append(Problem(place_of(here, document, key=True), here, message))
        elif name == "p" and not _is_probability(step[name]):
            message = f"should be a number from 0 to 1 (got {step[name]!r:.60})"
            problems.append(Problem(place_of(here, document), here, message))
    return problems


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _transforms() -> list[str]:
    return list(table()["transforms"])


def _arguments(kind: str, given: list[str]) -> list[str] | None:
    """A transform's arguments, None for no transform. Another installed version than the table's
    is asked when the table lacks the transform or one of the arguments given."""
    if kind.startswith(TORCHVISION):
        package, section, name = "torchvision", "torchvision", kind.removeprefix(TORCHVISION)
    else:
        package, section, name = "albumentations", "transforms", kind
    known = table()[section].get(name)
    if (known is not None and set(given) <= set(known)) or not _other_version(package):
        return known
    installed = installed_torchvision() if package == "torchvision" else installed_transforms()
    return installed.get(name)


def _other_version(package: str) -> bool:
    try:
        return installed_version(package) != table()["versions"][package]
    except metadata.PackageNotFoundError:
        return False


def installed_version(package: str) -> str:
    """Without what follows a +, which names a build: 0.29.1+cpu has the names of 0.29.1."""
    return metadata.version(package).partition("+")[0]


def installed_transforms() -> dict[str, list[str]]:
    """Every transform of the installed albumentations and its constructor's arguments."""
    import inspect

    import albumentations as A

    found: dict[str, list[str]] = {}
    for name, kind in sorted(vars(A).items()):
        is_class = inspect.isclass(kind) and issubclass(kind, A.BasicTransform | A.BaseCompose)
        if is_class and name not in BASES | OUTER and not inspect.isabstract(kind):
            found[name] = [a for a in inspect.signature(kind).parameters if a != "strict"]
    return found


def installed_torchvision() -> dict[str, list[str]]:
    """Every transform of the installed torchvision that is a step, and its arguments."""
    import inspect

    from torchvision.transforms import v2

    return {
        name: list(inspect.signature(kind).parameters)
        for name, kind in sorted(vars(v2).items())
        if inspect.isclass(kind) and issubclass(kind, v2.Transform) and name not in NO_STEPS
    }
