"""What the JSON files of a run folder have in common: a version, and a shape that is checked."""

import json
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from starter import files
from starter.errors import UserError

VERSION = 1


class Value(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def as_json(self) -> str:
        """As a program reads it."""
        return self.model_dump_json(indent=1)


class Record(Value):
    """A file of its own. `mend` tells the user what to do where it is damaged."""

    version: Literal[1] = 1
    mend: ClassVar[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file. UserError naming file and key where it is missing or of another shape."""
        try:
            value = files.read_json(path)
        except UserError as error:
            raise UserError(f"{error}; {cls.mend}") from None
        if value.get("version") != VERSION:
            raise UserError(
                f"{path}: version: this code reads {VERSION}, the file says "
                f"{value.get('version', 'none')}; {cls.mend}"
            )
        absent = next((key for key in cls.model_fields if key not in value), None)
        if absent:
            raise UserError(f"{path} is damaged: {absent} is missing; {cls.mend}")
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path} is damaged: {key}: {first['msg']}; {cls.mend}") from None

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """As `read`; None where there is no such file."""
        return cls.read(path) if path.is_file() else None

    def write(self, path: Path) -> None:
        """Replaces the file in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, self.model_dump(mode="json"))
