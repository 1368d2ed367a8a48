"""One thing wrong with a submission file, said so that it can be mended."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """A finding of `check`.

    code: a short, stable word for programs (`header`, `missing-ids`, ...).
    severity: "error" is refused by Kaggle or scored wrongly; "warning" is likely a slip.
    message: what is wrong and how to mend it. line: of the file, from 1; None for the whole file.
    """

    code: str
    severity: Literal["error", "warning"]
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message
