"""The report of a run, drawn while it trains and at the end of each door.

A picture never costs a run: what goes wrong in drawing is a warning.
"""

import logging
import time
from pathlib import Path

log = logging.getLogger(__name__)

SHARE = 0.05  # of the time, at most, is spent drawing while a stage trains
FIRST = 1.0  # seconds that the first drawing is taken to cost


class Redraw:
    """Called after every epoch: draws what has grown, where SHARE of the time has room for it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._next = time.monotonic() + FIRST / SHARE

    def __call__(self) -> None:
        """Draws, unless the last drawing was too short ago."""
        start = time.monotonic()
        if start >= self._next:
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
    from starter.report import report

    try:
        return report(run, live=live)
    except Exception as error:  # of matplotlib, of the disk: the run itself is whole
        log.warning("%s: no report: %s: %s", run, type(error).__name__, error)
        log.debug("report", exc_info=True)
        return None
