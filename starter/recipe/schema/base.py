"""What every section of a recipe has in common."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A section: unknown keys and loose types are errors, and nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


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
