"""What a stage measures of itself: its losses, which stop it where not finite, and its seconds."""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from starter import distributed
from starter.data.batches import Batch
from starter.errors import UserError


class LossMeter:
    """Losses kept on the device and read once an interval.

    Sums are Python floats added one update at a time, so they do not depend on when they are
    read, and a resumed epoch reports the same means.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.epoch: dict[str, float] = {}
        self.epoch_count = 0
        self.interval: dict[str, float] = {}
        self.interval_count = 0
        self._unread: list[tuple[int, float, dict[str, torch.Tensor]]] = []

    def add(self, step: int, learning_rate: float, losses: dict[str, torch.Tensor]) -> None:
        """Keeps the losses of update number `step`, counted from 1."""
        self._unread.append((step, learning_rate, losses))

    def flush(self) -> None:
        """Adds what is unread to the sums.

        Raises:
            UserError: a loss was not finite, naming the update, the term and the learning rate.
        """
        if not self._unread:
            return
        names = list(self._unread[0][2])
        values = torch.stack([row[2][name].float() for row in self._unread for name in names])
        values = distributed.mean(values)  # of equal slices: that of the whole batch
        table = values.reshape(-1, len(names)).cpu().tolist()
        for (step, learning_rate, _), row in zip(self._unread, table, strict=True):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    raise UserError(self._not_finite(value, step, name, learning_rate))
                self.epoch[name] = self.epoch.get(name, 0.0) + value
                self.interval[name] = self.interval.get(name, 0.0) + value
            self.epoch_count += 1
            self.interval_count += 1
        self._unread.clear()

    def _not_finite(self, value: float, step: int, name: str, learning_rate: float) -> str:
        head = f"the loss is {value} at update {step}, term {name}, learning rate"
        if step == 1:  # no rate has acted yet
            return (
                f"{head} {learning_rate:.3g}: the images after data.mean and data.std, or the "
                "weights that the stage starts from, are not finite"
            )
        return (
            f"{head} {learning_rate:.3g}: the network's output was not finite before the loss was; "
            "lower optimizer.lr, lengthen schedule.warmup_epochs or set clip_grad, and train the "
            f"stage anew with --fresh {self.stage}"
        )

    def end_interval(self) -> dict[str, float]:
        """Mean loss of each term since the last interval ended; begins a new one."""
        self.flush()
        means = {name: value / self.interval_count for name, value in self.interval.items()}
        self.interval, self.interval_count = {}, 0
        return means

    def end_epoch(self) -> dict[str, float]:
        """Mean loss of each term since the last epoch ended; begins a new one."""
        self.flush()
        means = {name: value / self.epoch_count for name, value in self.epoch.items()}
        self.epoch, self.epoch_count = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        """The sums, as plain values."""
        self.flush()
        kept = ("epoch", "epoch_count", "interval", "interval_count")
        return {name: getattr(self, name) for name in kept}

    @classmethod
    def from_state(cls, stage: str, state: dict[str, Any]) -> "LossMeter":
        """A meter that goes on from `state()`."""
        meter = cls(stage)
        for name, value in state.items():
            setattr(meter, name, value)
        return meter


class Clock:
    """Runs while an epoch's batches are taken.

    seconds: of all epochs, earlier calls included. epoch_seconds, waited: of this epoch.
    """

    def __init__(self, seconds: float = 0.0):
        self.seconds, self.epoch_seconds, self.waited = seconds, 0.0, 0.0
        self._started: float | None = None

    def waiting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Passes an epoch's batches on, timing how long each takes to come."""
        self.epoch_seconds = self.waited = 0.0
        self._start()
        try:
            iterator = iter(batches)
            while True:
                start = time.perf_counter()
                batch = next(iterator, None)
                self.waited += time.perf_counter() - start
                if batch is None:
                    return
                yield batch
        finally:
            self._stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What the body takes is not counted."""
        running = self._started is not None
        self._stop()
        yield
        if running:
            self._start()

    def _start(self) -> None:
        self._started = time.perf_counter()

    def _stop(self) -> None:
        if self._started is not None:
            seconds = time.perf_counter() - self._started
            self.seconds += seconds
            self.epoch_seconds += seconds
        self._started = None
