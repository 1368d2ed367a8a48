"""Seconds of training, and of waiting for data, with evaluation and checkpoints left out."""

import contextlib
import time
from collections.abc import Iterable, Iterator

from starter.data.batches import Batch


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
                asked = time.perf_counter()
                batch = next(iterator, None)
                self.waited += time.perf_counter() - asked
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
