"""Where a stage's rows go: metrics.jsonl; and TensorBoard and Weights & Biases, where the recipe's
`track` asks for them, with the figures, the configuration and the id of wandb's run.

What goes wrong in a tracker while a stage trains is a warning, and it is left out from then on.
"""

import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from starter import distributed
from starter.errors import UserError
from starter.files import read_json, write_json, write_text
from starter.hooks.base import Hook, Row
from starter.hooks.report import draw_report
from starter.inference.evaluate import Evaluation
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.training.state import TrainState

log = logging.getLogger(__name__)


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
        write_text(self.path, "".join(kept))

    def row(self, row: Row) -> None:
        if distributed.is_main():
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


class Tracker(Protocol):
    """What a tracker takes of one stage."""

    def row(self, number: int, row: Row) -> None:
        """The number-th row of metrics.jsonl, counted from 0."""

    def pictures(self, paths: list[Path], step: int) -> None:
        """PNG files of the report."""

    def close(self) -> None:
        """Writes out what waits."""


def check_trackers(track: Iterable[str]) -> None:
    """UserError for one that is asked for and not installed."""
    for name in track:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"track: {name} is not installed: pip install {name}, or leave it out of track"
            )


class Trackers(Hook):
    """Every tracker of one stage. `finish` is called once the report can be drawn."""

    def __init__(self, recipe: Recipe, folder: RunFolder, stage: str):
        self.recipe, self.folder, self.stage = recipe, folder, stage
        self._rows = self._step = 0
        self._ended = False
        self._open: dict[str, Tracker] = {}

    def begin(self, state: TrainState) -> None:
        """Opens them and passes on the rows of the checkpoint that the stage continues from."""
        self._open_all()

    def row(self, row: Row) -> None:
        number, self._step = self._rows, row["step"]
        self._rows += 1
        self._each(lambda tracker: tracker.row(number, row))

    def end(self, state: TrainState, evaluation: Evaluation) -> None:
        self._ended = True

    def close(self) -> None:
        if not self._ended:  # stopped: the figures come when the stage has ended
            self._close()

    def finish(self) -> None:
        """The report's figures of a stage that has ended."""
        if self._open:
            draw_report(self.folder.path)
            paths = sorted(self.folder.figures.glob("*.png"))
            self._each(lambda tracker: tracker.pictures(paths, self._step))
            self._close()

    def catch_up(self) -> None:
        """Shows a stage that had ended before a tracker was asked for."""
        places = {
            "tensorboard": self.folder.tensorboard(self.stage),
            "wandb": self.folder.stage(self.stage).wandb,
        }
        if any(not places[name].exists() for name in self.recipe.track):
            self._open_all()
            self.finish()

    def _open_all(self) -> None:
        if distributed.is_main():
            for name in self.recipe.track:
                self._open[name] = OPEN[name](self.recipe, self.folder, self.stage)
        metrics = self.folder.stage(self.stage).metrics
        if self._open and metrics.is_file():
            for line in metrics.read_text(encoding="utf-8").splitlines():
                self.row(json.loads(line))

    def _close(self) -> None:
        self._each(lambda tracker: tracker.close())
        self._open.clear()

    def _each(self, work: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                work(tracker)
            except Exception as error:  # of a network, of a disk: the run itself is whole
                log.warning("%s is left out from now on: %s: %s", name, type(error).__name__, error)
                log.debug("%s", name, exc_info=True)
                del self._open[name]


def numbers(row: Row) -> dict[str, float]:
    """A row's values by `interval/name` or `epoch/name`."""
    return {
        f"{row['kind']}/{name}": value
        for name, value in row.items()
        if name not in ("kind", "step") and isinstance(value, int | float)
    }


class TensorBoard:
    """<run>/tensorboard/<stage>: written anew from the first row whenever the stage begins or goes
    on; purge_step tells a TensorBoard that is open to forget what it had read."""

    def __init__(self, recipe: Recipe, folder: RunFolder, stage: str):
        from torch.utils.tensorboard import SummaryWriter

        place = folder.tensorboard(stage)
        if place.exists():
            shutil.rmtree(place)
        self._writer: Any = SummaryWriter(place.as_posix(), purge_step=0)

    def row(self, number: int, row: Row) -> None:
        for name, value in numbers(row).items():
            self._writer.add_scalar(name, value, row["step"])
        if row["kind"] == "epoch":
            self._writer.flush()

    def pictures(self, paths: list[Path], step: int) -> None:
        import cv2

        for path in paths:
            bgr_HWC = cv2.imread(path.as_posix())
            assert bgr_HWC is not None, path
            image_HWC = cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB)
            self._writer.add_image(f"report/{path.stem}", image_HWC, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of wandb's for the stage, in a group named as the run; its id and the number of rows
    that it has are kept, so that a resumed stage goes on in it. Account, key, project and offline
    mode are wandb's own affair (`wandb login`, WANDB_PROJECT, WANDB_MODE)."""

    def __init__(self, recipe: Recipe, folder: RunFolder, stage: str):
        import wandb

        self._wandb = wandb
        self._state = folder.stage(stage).wandb
        known = read_json(self._state) if self._state.is_file() else {}
        self._sent: int = known.get("rows", 0)
        project = os.environ.get("WANDB_PROJECT") or recipe.submission.competition or "starter"
        try:
            self._run = wandb.init(
                project=project,
                group=recipe.name,
                name=f"{recipe.name}/{stage}",
                id=known.get("id"),
                resume="allow",
                dir=folder.path.as_posix(),
                config=recipe.model_dump(mode="json"),
            )
        except wandb.Error as error:
            raise UserError(
                f"track: wandb does not begin: {' '.join(str(error).split())}; sign in with "
                "`wandb login`, set WANDB_MODE=offline, or leave it out of track"
            ) from None
        self._save()

    def row(self, number: int, row: Row) -> None:
        if number >= self._sent:  # a resumed stage tells the same rows again
            self._run.log(numbers(row), step=row["step"])
            self._sent = number + 1
            self._save()

    def _save(self) -> None:
        write_json(self._state, {"id": self._run.id, "rows": self._sent})

    def pictures(self, paths: list[Path], step: int) -> None:
        shown = {f"report/{path.stem}": self._wandb.Image(path.as_posix()) for path in paths}
        self._run.log(shown, step=step)

    def close(self) -> None:
        self._run.finish()


OPEN: dict[str, Callable[[Recipe, RunFolder, str], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}
