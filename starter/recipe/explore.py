"""What the schema knows at a place of a recipe: keys, kinds, meanings."""

import typing
from typing import Annotated, Any

from pydantic import BaseModel

KeyPath = tuple[str | int, ...]


def keys_at(model: type[BaseModel], path: KeyPath, value: Any) -> list[str]:
    """The keys that the schema knows in the section at `path` of the plain values `value`."""
    kind, value = _descend(model, path, value)
    return sorted({name for section in sections(kind, value) for name in section.model_fields})


def kinds_at(model: type[BaseModel], path: KeyPath, value: Any) -> list[str]:
    """The words that `kind:` may be in the section at `path`."""
    kind, _ = _descend(model, path, value)
    return [word for section in sections(kind, None) for word in _kinds(section)]


def description_at(model: type[BaseModel], path: KeyPath, value: Any) -> str:
    """The one-line meaning of the key at `path`, or nothing."""
    kind, value = _descend(model, path[:-1], value)
    for section in sections(kind, value):
        field = section.model_fields.get(str(path[-1]))
        if field is not None:
            return field.description or ""
    return ""


def homes_of(key: object, model: type[BaseModel]) -> list[str]:
    """The sections, at most one level down, that have a key of this name: train, stages.NAME."""
    found = ["the top level"] if key in model.model_fields else []
    for name, field in model.model_fields.items():
        for kind in options(field.annotation):
            inside, label = kind, name
            if typing.get_origin(kind) is dict:
                inside, label = typing.get_args(kind)[1], f"{name}.NAME"
            if any(key in section.model_fields for section in sections(inside, None)):
                found.append(label)
    return found


def options(kind: Any) -> list[Any]:
    """The members of a union, annotations peeled off."""
    if typing.get_origin(kind) is Annotated:
        return options(typing.get_args(kind)[0])
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (dict, tuple) or not arguments:
        return [kind]
    return [option for argument in arguments for option in options(argument)]


def sections(kind: Any, value: Any) -> list[type[BaseModel]]:
    """The sections that the annotation `kind` may be, by `kind:` where `value` gives it."""
    found = [o for o in options(kind) if isinstance(o, type) and issubclass(o, BaseModel)]
    tag = value.get("kind") if isinstance(value, dict) else None
    return [section for section in found if tag in _kinds(section)] or found


def _kinds(section: type[BaseModel]) -> list[str]:
    field = section.model_fields.get("kind")
    return [] if field is None else list(typing.get_args(field.annotation))


def _descend(model: type[BaseModel], path: KeyPath, value: Any) -> tuple[Any, Any]:
    kind: Any = model
    for part in path:
        kind = _inside(kind, part, value)
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = None
    return kind, value


def _inside(kind: Any, part: str | int, value: Any) -> Any:
    """The annotation of `part` inside the annotation `kind`."""
    for section in sections(kind, value):
        if part in section.model_fields:
            return section.model_fields[str(part)].annotation
    for option in options(kind):
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if origin is dict:
            return arguments[1]
        if origin is tuple:
            return arguments[0]
    return None
