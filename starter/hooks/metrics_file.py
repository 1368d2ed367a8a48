"""metrics.jsonl: a line per interval and per epoch, each with the number of updates done."""

import json
from pathlib import Path

from starter import distributed, files
from starter.hooks.base import Hook, Row
from starter.training.state import TrainState


class MetricsFile(Hook):
    """Appends every row; a resumed stage first drops those after its checkpoint."""

    def __init__(self, path: Path):
        self.path = path

    def begin(self, state: TrainState) -> None:
        if self.path.is_file() and distributed.is_main():
            self._cut(state.step)

    def _cut(self, step: int) -> None:
        """Drops rows after update `step`, and a line that a kill left unfinished."""
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            if step and row["step"] <= step:
                kept.append(line + "\n")
        files.write_text(self.path, "".join(kept))

    def row(self, row: Row) -> None:
        if distributed.is_main():
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
