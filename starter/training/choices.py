"""What a stage measured for itself: made once, saved, and read back, so that a resume repeats it.

`<stage>/choices.json`: {"precision": ..., "micro_batch": ..., "epochs": ...}, each where it was
measured. None of them counts in the stage's hash.
"""

from collections.abc import Callable
from typing import TypeVar

from starter import distributed
from starter.files import read_json, write_json
from starter.runs.folder import StageFolder

T = TypeVar("T", str, int)


def once(stage_folder: StageFolder, name: str, measure: Callable[[], T]) -> T:
    """The stage's choice of this name: the saved one, else what `measure` gives, saved.

    Of several processes all call it, with a measure that gives them the same, or the first alone.
    """
    found = chosen(stage_folder)
    if name not in found:
        value = measure()
        found = chosen(stage_folder) | {name: value}
        if distributed.is_main():
            write_json(stage_folder.choices, found)
    return found[name]


def chosen(stage_folder: StageFolder) -> dict:
    """Every choice made so far. UserError when the file is damaged."""
    path = stage_folder.choices
    return read_json(path) if path.is_file() else {}
