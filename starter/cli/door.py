"""What the three doors share: logging, turning an error into a line and an exit code, and the same
for the processes that torchrun starts.
"""

import atexit
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from starter.errors import INTERRUPTED, OK, STOPPED_EARLY, USER_ERROR, Interrupted, UserError

EXIT_CODES = "exit codes: 0 done, 2 something to fix (said in a line), 3 stopped early, run again"
SUBMIT_EXIT_CODES = """\
exit codes: 0 done
  2 something to fix in the file or the command (said in a line)
  4 not signed in: no kaggle package, no or wrong credentials
  5 Kaggle refuses: rules not accepted, no such competition, closed
  6 no submission left
  7 this file was submitted before (--force)
  8 not reached: no connection, no answer in time, a fault of Kaggle's (said: what was taken)
  9 unsure: the connection broke after the upload; the same command looks first
 10 Kaggle could not score it
 11 no score yet, in the time given
130 interrupted"""
# What a disk or a folder refuses; any other OSError is a fault of ours and keeps its traceback.
REFUSED = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOENT,
    errno.ENAMETOOLONG,
}
# torchrun answers 1 whatever its processes answer: this variable names a file for process 0's.
EXIT_CODE_FILE = "STARTER_EXIT_CODE_FILE"


class _Lines(logging.StreamHandler):
    """Log lines on standard error, above a progress bar where one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        bars = sys.modules.get("tqdm")  # imported where a bar is drawn, and only there
        if bars is None:
            super().emit(record)
        else:
            bars.tqdm.write(self.format(record), file=self.stream)


def set_up_logging(quiet: bool = False) -> None:
    """Log lines with the time, on standard error; of several processes, the first one's."""
    level = logging.WARNING if quiet else logging.INFO
    if not _is_first():
        level = logging.ERROR
    logging.basicConfig(
        level=level,
        format="%(asctime)s  %(message)s",
        datefmt="%H:%M:%S",
        handlers=[_Lines()],
    )


def notebook() -> None:
    """What the doors tell while they work, in a notebook's cell, whatever logging it has set up."""
    ours = logging.getLogger("starter")
    if not any(isinstance(handler, _Lines) for handler in ours.handlers):
        lines = _Lines()
        lines.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
        ours.addHandler(lines)
    ours.setLevel(logging.INFO)
    ours.propagate = False


def run(work: Callable[[], None], *, together: bool = False) -> int:
    """Runs a door's work; a user's mistake becomes its message and its exit code, mostly 2.

    together: the work is for all processes of torchrun; else the first one alone does it.
    """
    if not together:
        if not _is_first():
            return OK
        os.environ.pop("WORLD_SIZE", None)  # it is alone, and `joined` must not wait for others
    code = _run(work)
    if (path := os.environ.get(EXIT_CODE_FILE)) and _is_first():
        Path(path).write_text(str(code), encoding="utf-8")
    if _are_several():
        # Threads of torch's that served the group now and then abort a normal end, also after
        # destroy_process_group; so what Python does at its end is done, and no more.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _are_several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _run(work: Callable[[], None]) -> int:
    try:
        work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return OK
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror}; what was written before is whole", file=sys.stderr)
        return USER_ERROR
    except SystemExit as error:  # of `joined`: another process says why
        return int(error.code or OK)
    except KeyboardInterrupt:
        print("interrupted; run the same command to continue", file=sys.stderr)
        return INTERRUPTED
    except Interrupted as error:
        print(f"{error}; run the same command to continue", file=sys.stderr)
        return STOPPED_EARLY
    return OK


def percent(fraction: float | None) -> str:
    """A fraction as a person reads it, a dash where it was not measured."""
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text side by side, the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if i else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def stage_table(summary: dict) -> str:
    """What workflow.train returned, a line a stage; the run's best is marked with *."""
    rows: list[tuple[str, ...]] = [
        ("stage", "epochs", "minutes", "images/s", "accuracy", "EER", "AUC")
    ]
    for name, stage in summary["stages"].items():
        mark = " *" if name == summary.get("best") else ""
        rows.append(
            (
                name + mark,
                str(stage["epochs"]),
                f"{stage['seconds'] / 60:.1f}",
                f"{stage['images_per_second']:.0f}",
                *(percent(stage[key]) for key in ("accuracy", "eer", "auc")),
            )
        )
    return columns(rows)


def number(value: float | None, digits: int = 4) -> str:
    """A number as a person reads it, a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
