"""What every section of a recipe has in common, and what the schema knows at a place of a recipe:
keys, kinds, meanings."""

import typing
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr

from starter.recipe.reader import Document, KeyPath


class Origin:
    """Where a section was written. It makes no section another one: all are equal."""

    def __init__(self, document: Document, path: KeyPath):
        self.document, self.path = document, path

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Origin)

    def __hash__(self) -> int:
        return 0


class Section(BaseModel):
    """A section: unknown keys and loose types are errors, and nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=()
    )
    _origin: Origin | None = PrivateAttr(None)


class Named(Section):
    """A section whose `kind` names a class; its other keys are that class's arguments."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, Field(min_length=1, description="which class; the other keys are its")]

    @property
    def options(self) -> dict[str, Any]:
        """The class's arguments, as written."""
        return dict(self.model_extra or {})

    def with_options(self, options: dict[str, Any]) -> Self:
        """The same section with these arguments."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        made = type(self)(**kept, **options)
        made._origin = self._origin
        return made


class Misfit(ValueError):
    """Keys that are right one by one but not together.

    mistakes: (path below the section, message) of each; the first path is where it is shown,
    () for the section itself.
    """

    def __init__(self, mistakes: Sequence[tuple[KeyPath, str]]):
        self.mistakes = list(mistakes)
        named = [(".".join(map(str, path)), message) for path, message in self.mistakes]
        super().__init__("; ".join(f"{path}: {text}" if path else text for path, text in named))


Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # a probability of dropping something
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Size = int | tuple[int, int]  # pixels a side, or height and width
Pixels = Annotated[int, Field(ge=8, le=1024)]
SizeKey = Annotated[
    Pixels | Annotated[tuple[Pixels, Pixels], Field(strict=False)],
    AfterValidator(lambda size: sides(size)[0] if len(set(sides(size))) == 1 else size),
]


def sides(size: Size) -> tuple[int, int]:
    """Height and width."""
    return size if isinstance(size, tuple) else (size, size)


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
    homes = ["the top level"] if key in model.model_fields else []
    for name, field in model.model_fields.items():
        for kind in options(field.annotation):
            inside, label = kind, name
            if typing.get_origin(kind) is dict:
                inside, label = typing.get_args(kind)[1], f"{name}.NAME"
            if any(key in section.model_fields for section in sections(inside, None)):
                homes.append(label)
    return homes


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
    members = [o for o in options(kind) if isinstance(o, type) and issubclass(o, BaseModel)]
    tag = value.get("kind") if isinstance(value, dict) else None
    return [section for section in members if tag in _kinds(section)] or members


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
