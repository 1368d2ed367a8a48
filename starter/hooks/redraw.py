"""The report of a run, drawn while it trains and at the end of each command.

A picture never costs a run: what goes wrong in drawing is a warning.
"""

import logging
import time
from pathlib import Path

from starter import distributed
from starter.hooks.base import Hook
from starter.report import report
from starter.training.state import TrainState

log = logging.getLogger(__name__)

SHARE = 0.05  # of the time, at most, is spent drawing while a stage trains
FIRST = 1.0  # seconds that the first drawing is taken to cost


class Redraw(Hook):
    """Draws what has grown after an epoch, where SHARE of the time has room for it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._next = time.monotonic() + FIRST / SHARE

    def after_epoch(self, state: TrainState) -> None:
        start = time.monotonic()
        if start >= self._next and distributed.is_main():
            draw_report(self.folder, live=True)
            end = time.monotonic()
            self._next = end + (end - start) / SHARE


def draw_report(run: str | Path, *, live: bool = False) -> Path | None:
    """Writes a run's report.html and its figures.

    Args:
        run: a run folder.
        live: a stage is running: only what grows with it is drawn anew.
    Returns:
        The page's path; None where it could not be drawn, which is logged.
    """
    try:
        return report(run, live=live)
    except Exception as error:  # of matplotlib, of the disk: the run itself is whole
        log.warning("%s: no report: %s: %s", run, type(error).__name__, error)
        log.debug("report", exc_info=True)
        return None
