"""The transforms that a recipe's `augment:` names, built: albumentations' and torchvision's."""

import difflib
import inspect
import logging
import warnings
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from starter.errors import UserError
from starter.recipe.names import TORCHVISION, installed_torchvision
from starter.recipe.schema.data import AugmentStep

log = logging.getLogger(__name__)

CHILDREN = ("transforms", "first", "second")  # arguments of OneOf and the like: steps themselves


def build_transforms(steps: Sequence[AugmentStep]) -> list[Any]:
    """A callable object `transform(image=...)` for each step, its arguments checked.

    Raises UserError naming the step: an unknown transform, an argument that its signature lacks, a
    bad value.
    """
    return [_transform(step, place_of(i, step)) for i, step in enumerate(steps)]


def place_of(i: int | str, step: AugmentStep) -> str:
    """How an error names a step."""
    return f"augment.{i} ({step.kind})"


def _transform(step: AugmentStep, place: str):
    """The albumentations object of one step, with the steps inside it."""
    kind = _class(step.kind, place)
    arguments = step.arguments
    _check_names(kind, arguments, place)
    if step.kind.startswith(TORCHVISION):
        from starter.data.augment.torchvision_steps import TorchvisionStep

        try:
            return TorchvisionStep(kind, arguments)
        except Exception as error:  # whatever a transform of somebody else's raises
            raise UserError(f"{place}: {one_line(error)}") from error
    for name in set(CHILDREN) & set(arguments):
        arguments[name] = _children(arguments[name], f"{place}.{name}")
    # In strict mode albumentations raises for values that it else replaces by defaults with a
    # warning. Classes whose __init__ its metaclass did not wrap lack that argument.
    strict = {"strict": True} if hasattr(kind.__init__, "__signature__") else {}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transform = kind(**{k: _tuples(v) for k, v in arguments.items()}, **strict)
    except Exception as error:  # whatever a transform of somebody else's raises
        raise UserError(f"{place}: {one_line(error)}") from error
    for warning in caught:
        log.warning("%s: %s", place, warning.message)
    return transform


def _class(kind: str, place: str) -> Any:
    if kind.startswith(TORCHVISION):
        return _torchvision_class(kind, place)
    import albumentations as A

    found = getattr(A, kind, None)
    if isinstance(found, type) and issubclass(found, A.BasicTransform | A.BaseCompose):
        return found
    names = [name for name in dir(A) if name[0].isupper()]
    raise UserError(f"{place}: albumentations has no transform {kind!r}{_near(kind, names)}")


def _torchvision_class(kind: str, place: str) -> Any:
    from starter.data.augment.torchvision_steps import find

    found = find(kind.removeprefix(TORCHVISION))
    if found is None:
        known = [TORCHVISION + name for name in installed_torchvision()]
        raise UserError(f"{place}: torchvision has no such transform{_near(kind, known)}")
    return found


def _check_names(kind: Any, arguments: dict[str, Any], place: str) -> None:
    """albumentations only warns about an argument that does not exist, and ignores it."""
    known = [name for name in inspect.signature(kind).parameters if name != "strict"]
    for name in arguments:
        if name not in known:
            raise UserError(
                f"{place}: no argument {name!r}{_near(name, known)}; it has {', '.join(known)}"
            )


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _children(value: Any, place: str):
    if isinstance(value, list | tuple):
        return [_child(child, f"{place}.{i}") for i, child in enumerate(value)]
    return _child(value, place)


def _child(value: Any, place: str):
    try:
        step = AugmentStep.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{place}: not a step such as {{kind: HorizontalFlip, p: 0.5}}") from error
    return _transform(step, f"{place} ({step.kind})")


def _tuples(value: Any) -> Any:
    """YAML has lists; albumentations wants tuples, but lists of transforms."""
    if isinstance(value, list | tuple) and not any(hasattr(item, "apply") for item in value):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def one_line(error: Exception) -> str:
    """What a transform raised, without pydantic's frame around it."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return "; ".join(
            ": ".join([*(str(part) for part in e["loc"]), f"{e['msg']} (got {e['input']!r})"])
            for e in cause.errors()
        )
    return " ".join(str(error).split()) or type(error).__name__
