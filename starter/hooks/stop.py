"""When to stop early: a signal, or the time that was given."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from starter.errors import Interrupted

log = logging.getLogger(__name__)

Handler = Callable[[int, FrameType | None], object] | int | None


class Stopper:
    """Turns SIGTERM, Ctrl-C and a time budget into a reason that the training loop asks for.

    Inside `listening` a signal waits until the loop asks; outside it, and at a second Ctrl-C,
    everything stops at once.
    """

    def __init__(self) -> None:
        self._listening = False
        self._start = time.monotonic()
        self._signal: str | None = None
        self._previous: dict[int, Handler] = {}

    def __enter__(self) -> "Stopper":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While a loop asks for `reason` after every update."""
        self._listening = True
        try:
            yield
        finally:
            self._listening = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = signal.Signals(number).name
        if not self._listening:
            raise Interrupted(f"{self._signal}: stopped")
        log.warning(
            "%s: stopping after this update, with a checkpoint; Ctrl-C stops at once", self._signal
        )

    def reason(self, max_hours: float | None) -> str | None:
        """Why to stop now, or None."""
        if self._signal:
            return self._signal
        hours = (time.monotonic() - self._start) / 3600
        if max_hours is not None and hours >= max_hours:
            return f"max_hours {max_hours:g} reached"
        return None
