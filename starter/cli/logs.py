"""Log lines of commands and notebooks: on standard error, above a progress bar."""

import logging
import sys

from starter.cli.command import is_main, printable

FORMAT, TIME = "%(asctime)s  %(message)s", "%H:%M:%S"


class _Lines(logging.StreamHandler):
    """Log lines on standard error, above a progress bar where one is drawn."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        bars = sys.modules.get("tqdm")  # imported where a bar is drawn, and only there
        if bars is None:
            super().emit(record)
        else:
            bars.tqdm.write(self.format(record), file=self.stream)


def set_up_logging(quiet: bool = False) -> None:
    """Logs of a command, with the time; of several processes, those of rank 0 and errors."""
    level = logging.WARNING if quiet else logging.INFO
    if not is_main():
        level = logging.ERROR
    logging.basicConfig(level=level, format=FORMAT, datefmt=TIME, handlers=[_Lines()])


def notebook() -> None:
    """Shows in a notebook's cell what the commands log, whatever logging the notebook set up."""
    ours = logging.getLogger("starter")
    if not any(isinstance(handler, _Lines) for handler in ours.handlers):
        lines = _Lines()
        lines.setFormatter(logging.Formatter(FORMAT, TIME))
        ours.addHandler(lines)
    ours.setLevel(logging.INFO)
    ours.propagate = False
