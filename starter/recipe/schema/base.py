"""What every section of a recipe has in common."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

if TYPE_CHECKING:
    from starter.recipe.reader import Document


class Origin:
    """Where a section was written. It makes no section another one: all are equal."""

    def __init__(self, document: "Document", path: tuple[str | int, ...]):
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

    def __init__(self, mistakes: Sequence[tuple[tuple[str | int, ...], str]]):
        self.mistakes = list(mistakes)
        named = [(".".join(map(str, path)), message) for path, message in self.mistakes]
        super().__init__("; ".join(f"{path}: {text}" if path else text for path, text in named))


Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # a probability of dropping something
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
