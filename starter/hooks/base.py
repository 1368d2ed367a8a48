"""The one thing that the page talks to, and what a listener may be told.

A listener of your own is a subclass of Hook with the methods that it wants; put it into the list
in `starter/stages/train.py`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from starter import distributed
from starter.data.batches import Batch
from starter.hooks.meters import Clock, LossMeter
from starter.inference.evaluate import Evaluation
from starter.training.memory import peak_gb, start_peak
from starter.training.state import StageJob, TrainState

LOG_EVERY = 20  # updates between two reads of the losses: each read waits for the device

Row = dict[str, Any]  # a line of metrics.jsonl


class Hook:
    """Listens to one stage; every method may be left out. Nothing it does changes the training."""

    def begin(self, state: TrainState) -> None:
        """Before the first update of this call, a resumed one included."""

    def after_update(self, state: TrainState, batch: Batch) -> None:
        """state.step updates are done; `batch` was the last one."""

    def row(self, row: Row) -> None:
        """Losses of an interval ("kind": "interval") or of an epoch, with its metrics ("epoch")."""

    def after_evaluation(self, state: TrainState, evaluation: Evaluation) -> None:
        """The weights of now were evaluated."""

    def after_epoch(self, state: TrainState) -> None:
        """An epoch is over and its row was told."""

    def end(self, state: TrainState, evaluation: Evaluation) -> None:
        """The stage is trained; `evaluation` is of its best checkpoint, as are the weights."""

    def close(self) -> None:
        """The last call, however the stage ended."""


class Hooks:
    """All listeners of a stage, and the losses and times that they are told.

    stop: gives a reason to stop now, or None.
    """

    def __init__(
        self,
        job: StageJob,
        listeners: Sequence[Hook] = (),
        stop: Callable[[], str | None] = lambda: None,
    ):
        self.job, self.listeners, self._stop = job, listeners, stop
        self.meter, self.clock = LossMeter(job.name), Clock()
        self._images = 0  # at the start of the epoch

    @contextlib.contextmanager
    def listening(self, state: TrainState, saved: dict[str, Any] | None) -> Iterator[None]:
        """From the first update to the end. saved: `state_dict` of the last checkpoint."""
        if saved is not None:
            self.meter = LossMeter.from_state(self.job.name, saved["meter"])
            self.clock.seconds = saved["seconds"]
        try:
            self._each("begin", state)
            yield
        finally:
            self._each("close")

    def timed(self, state: TrainState, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Passes an epoch's batches on; the clock runs, and counts the waiting apart."""
        start_peak(self.job.device)
        self._images = state.images
        return self.clock.waiting(batches)

    def after_update(
        self, state: TrainState, batch: Batch, losses: dict[str, torch.Tensor]
    ) -> None:
        """Keeps the losses unread, and tells them now and then."""
        rate = state.learning_rate
        self.meter.add(state.step, rate, losses)
        self._each("after_update", state, batch)
        if state.step % LOG_EVERY == 0 or state.step % state.per_epoch == 0:
            means = self.meter.end_interval()
            self._each("row", {"kind": "interval", "step": state.step, "lr": rate, **means})

    def end_epoch(self, state: TrainState, evaluation: Evaluation | None) -> None:
        """Tells an epoch's mean losses, what was measured, and how fast it was."""
        clock, means = self.clock, self.meter.end_epoch()
        row: Row = {"kind": "epoch", "step": state.step, "epoch": state.step // state.per_epoch}
        row |= means | (evaluation.metrics if evaluation else {})
        row |= {
            "images_per_second": (state.images - self._images) / max(clock.epoch_seconds, 1e-9),
            "data_wait": clock.waited / max(clock.epoch_seconds, 1e-9),
            "peak_memory_gb": peak_gb(self.job.device),
        }
        if evaluation:
            self._each("after_evaluation", state, evaluation)
        self._each("row", row)
        self._each("after_epoch", state)

    def end(self, state: TrainState, evaluation: Evaluation) -> None:
        """The stage is trained."""
        self._each("end", state, evaluation)

    def stop(self) -> str | None:
        """Why to stop now, or None; asked once an update, and the same on every process."""
        return distributed.agreed(self._stop())

    def state_dict(self) -> dict[str, Any]:
        """What a resumed stage goes on from. UserError where a loss is not finite."""
        return {"meter": self.meter.state(), "seconds": self.clock.seconds}

    def _each(self, event: str, *arguments: Any) -> None:
        for listener in self.listeners:
            getattr(listener, event)(*arguments)
