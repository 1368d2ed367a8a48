"""What a stage measured for itself: made once, saved, and read back, so that a resume repeats it.

None of it counts in the stage's hash.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

from starter import distributed
from starter.runs.folder import StageFolder
from starter.runs.records import Choices

T = TypeVar("T", str, int)
Name = Literal["precision", "micro_batch", "epochs"]


def once(stage_folder: StageFolder, name: Name, measure: Callable[[], T]) -> T:
    """The stage's choice of this name: the saved one, else what `measure` gives, saved.

    Of several processes all call it, with a measure that gives them the same, or the first alone.
    """
    value = getattr(chosen(stage_folder), name)
    if value is None:
        value = measure()
        if distributed.is_main():
            chosen(stage_folder).model_copy(update={name: value}).write(stage_folder.choices)
    return value


def chosen(stage_folder: StageFolder) -> Choices:
    """Every choice made so far."""
    return Choices.find(stage_folder.choices) or Choices()
