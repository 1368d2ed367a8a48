"""TensorBoard and Weights & Biases, where the recipe's `track` asks for them.

Both follow metrics.jsonl, which a resumed stage cuts back to its checkpoint: so each step is shown
once. What goes wrong in them while a stage trains is a warning, and they are left out from then on.
"""

import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from starter.errors import UserError
from starter.hooks.redraw import draw_report
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder

log = logging.getLogger(__name__)

NOT_SHOWN = ("kind", "step")


class Tracker(Protocol):
    """What a tracker takes of one stage."""

    def row(self, number: int, row: dict) -> None:
        """The number-th row of metrics.jsonl, counted from 0."""

    def pictures(self, paths: list[Path], step: int) -> None:
        """PNG files of the report."""

    def embeddings(self, kept: dict[str, np.ndarray], step: int) -> None:
        """What training.shown.keep_projector kept."""

    def close(self) -> None:
        """Writes out what waits."""


def check_trackers(track: Iterable[str]) -> None:
    """UserError for one that is asked for and not installed."""
    for name in track:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"track: {name} is not installed: pip install {name}, or leave it out of track"
            )


class Trackers:
    """Every tracker of one stage: `with` opens them, `follow` is called when a row was written."""

    def __init__(self, recipe: Recipe, folder: RunFolder, stage: str):
        self.recipe, self.folder, self.stage = recipe, folder, stage
        self._metrics = folder.stage(stage).metrics
        self._offset = self._rows = self._step = 0
        self._open: dict[str, Tracker] = {}

    @property
    def missing(self) -> bool:
        """A tracker that is asked for has nothing of this stage yet."""
        places = {
            "tensorboard": _board(self.folder, self.stage),
            "wandb": _wandb_state(self.folder, self.stage),
        }
        return any(not places[name].exists() for name in self.recipe.track)

    def __enter__(self) -> "Trackers":
        for name in self.recipe.track:
            self._open[name] = OPEN[name](self.recipe, self.folder, self.stage)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Closes them if the stage stopped; else they wait for `finish`."""
        if kind is not None:
            self._close()

    def follow(self) -> None:
        """Passes on the rows that are new."""
        if not self._open:
            return
        for row in self._new_rows():
            self._step = row["step"]
            self._each(_passed(self._rows, row))
            self._rows += 1

    def finish(self) -> None:
        """The rest of a finished stage: rows, the report's figures, embeddings."""
        if not self._open:
            return
        self.follow()
        draw_report(self.folder.path)
        paths = sorted((self.folder.figures).glob("*.png"))
        self._each(lambda tracker: tracker.pictures(paths, self._step))
        path = self.folder.stage(self.stage).shown_file("projector")
        if path.is_file():
            with np.load(path) as arrays:
                kept = {name: arrays[name] for name in arrays.files}
            self._each(lambda tracker: tracker.embeddings(kept, self._step))
        self._close()

    def _new_rows(self) -> Iterator[dict]:
        if not self._metrics.is_file():
            return
        with open(self._metrics, "rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield json.loads(line)

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


def _passed(number: int, row: dict) -> Callable[[Tracker], None]:
    return lambda tracker: tracker.row(number, row)


def numbers(row: dict) -> dict[str, float]:
    """A row's values by `interval/name` or `epoch/name`."""
    return {
        f"{row['kind']}/{name}": value
        for name, value in row.items()
        if name not in NOT_SHOWN and isinstance(value, int | float)
    }


def _board(folder: RunFolder, stage: str) -> Path:
    return folder.tensorboard(stage)


class TensorBoard:
    """<run>/tensorboard/<stage>: written anew from the first row whenever the stage begins or goes
    on; purge_step tells a TensorBoard that is open to forget what it had read."""

    def __init__(self, recipe: Recipe, folder: RunFolder, stage: str):
        self.place = _board(folder, stage)
        self._writer: Any = None

    def row(self, number: int, row: dict) -> None:
        for name, value in numbers(row).items():
            self.writer.add_scalar(name, value, row["step"])
        if row["kind"] == "epoch":
            self.writer.flush()

    @property
    def writer(self) -> Any:
        """Opened with the first row: before that the old events are all there is."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            if self.place.exists():
                shutil.rmtree(self.place)
            self._writer = SummaryWriter(self.place.as_posix(), purge_step=0)
        return self._writer

    def pictures(self, paths: list[Path], step: int) -> None:
        import cv2

        for path in paths:
            bgr_HWC = cv2.imread(path.as_posix())
            assert bgr_HWC is not None, path
            image_HWC = cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB)
            self.writer.add_image(f"report/{path.stem}", image_HWC, step, dataformats="HWC")

    def embeddings(self, kept: dict[str, np.ndarray], step: int) -> None:
        import torch

        names = [" ".join(str(name).split()) or "-" for name in kept["name"]]
        image_NCHW = torch.from_numpy(kept["image"]).permute(0, 3, 1, 2).float() / 255
        self.writer.add_embedding(
            kept["emb"], names, image_NCHW.expand(-1, 3, -1, -1), step, tag="validation"
        )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _wandb_state(folder: RunFolder, stage: str) -> Path:
    return folder.stage(stage).wandb


class WeightsAndBiases:
    """A run of wandb's for the stage, in a group named as the run; its id and the number of rows
    that it has are kept, so that a resumed stage goes on in it. Account, key, project and offline
    mode are wandb's own affair (`wandb login`, WANDB_PROJECT, WANDB_MODE)."""

    def __init__(self, recipe: Recipe, folder: RunFolder, stage: str):
        import wandb

        self._wandb = wandb
        self._state = _wandb_state(folder, stage)
        known: dict[str, Any] = {"id": None, "rows": 0}
        if self._state.is_file():
            known |= json.loads(self._state.read_text(encoding="utf-8"))
        self._sent = known["rows"]
        project = os.environ.get("WANDB_PROJECT") or recipe.submission.competition or "starter"
        try:
            self._run = wandb.init(
                project=project,
                group=recipe.name,
                name=f"{recipe.name}/{stage}",
                id=known["id"],
                resume="allow",
                dir=folder.path.as_posix(),
                config=recipe.model_dump(mode="json"),
            )
        except wandb.Error as error:
            told = " ".join(str(error).split())
            raise UserError(
                f"track: wandb does not begin: {told}; sign in with `wandb login`, set "
                "WANDB_MODE=offline, or leave it out of track"
            ) from None
        self._save()

    def row(self, number: int, row: dict) -> None:
        if number < self._sent:  # a resumed stage writes the same rows again
            return
        self._run.log(numbers(row), step=row["step"])
        self._sent = number + 1
        self._save()

    def _save(self) -> None:
        part = self._state.with_suffix(".part")
        part.write_text(json.dumps({"id": self._run.id, "rows": self._sent}), encoding="utf-8")
        part.replace(self._state)

    def pictures(self, paths: list[Path], step: int) -> None:
        shown = {f"report/{path.stem}": self._wandb.Image(path.as_posix()) for path in paths}
        self._run.log(shown, step=step)

    def embeddings(self, kept: dict[str, np.ndarray], step: int) -> None:
        """TensorBoard's projector alone shows them."""

    def close(self) -> None:
        self._run.finish()


OPEN: dict[str, Callable[[Recipe, RunFolder, str], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}
