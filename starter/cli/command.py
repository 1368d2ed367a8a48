"""The edge of every command: an error becomes one line and an exit code."""

import atexit
import csv
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from starter.errors import INTERRUPTED, OK, STOPPED_EARLY, USER_ERROR, Interrupted, UserError

EXIT_CODES = (
    "exit codes: 0 done, 2 an error to fix (one line says which), 3 stopped early (run it again)"
)
SUBMIT_EXIT_CODES = """\
exit codes: 0 done
  2 an error to fix in the file or the command (one line says which)
  4 not signed in: no kaggle package, or missing or rejected credentials
  5 Kaggle refuses: rules not accepted, no such competition, competition closed
  6 no submission left
  7 this file was submitted before (--force sends it again)
  8 not reached: no connection, no answer in time, or a server error at Kaggle
  9 unknown: the connection broke after the upload; run the same command, it looks first
 10 Kaggle could not score the file
 11 no score yet in the time given
130 interrupted"""

# What a disk or a folder refuses; any other OSError is a bug and keeps its traceback.
FILE_ERRORS = {
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
    errno.ELOOP,
}
# Python's own complaints about input, by a part of their text; any other is a bug.
INPUT_ERRORS = {
    "null byte": "a path contains a NUL character",
    "null character": "a path contains a NUL character",
    "integer string conversion": "a number has more than 4,300 digits",
    "determine home directory": "a path starts with ~ and a user who does not exist",
    "field larger than field limit": "a csv field is longer than 131,072 characters; is a quote "
    "left open?",
    "recursion": "the input is nested too deeply",
}
CONTROLS = {c: f"\\x{c:02x}" for c in (*range(9), *range(11, 32), *range(127, 160))}
# torchrun answers 1 whatever its processes answer: this variable names a file for rank 0's code.
EXIT_CODE_FILE = "STARTER_EXIT_CODE_FILE"


def run(work: Callable[[], None], *, together: bool = False) -> int:
    """Runs the work of a command and returns its exit code; a user's mistake becomes one line.

    together: all processes of torchrun do the work; else rank 0 alone does it.
    """
    for name in ("stdout", "stderr"):  # None where the caller closed it
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if not together:
        if not is_main():
            return OK
        os.environ.pop("WORLD_SIZE", None)  # alone, `joined` must not wait for others
    code = _exit_code(work)
    if (path := os.environ.get(EXIT_CODE_FILE)) and is_main():
        Path(path).write_text(str(code), encoding="utf-8")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Threads of torch's that served the group now and then abort a normal end, also after
        # destroy_process_group; so what Python does at its end is done, and no more.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def printable(text: str) -> str:
    """Text of files and servers without what a terminal obeys: control characters but for line
    ends and tabs are spelled, `\\x1b`."""
    return text.translate(CONTROLS)


def is_main() -> bool:
    """Whether this process is rank 0, known before torch is imported."""
    return os.environ.get("RANK", "0") == "0"


def _exit_code(work: Callable[[], None]) -> int:
    try:
        work()
        sys.stdout.flush()  # a closed pipe is noticed here, not at the interpreter's end
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except SystemExit as error:  # of `joined`: another process has said why
        return int(error.code or OK)
    except KeyboardInterrupt:
        print("interrupted; run the same command to continue", file=sys.stderr)
        return INTERRUPTED
    except Interrupted as error:
        print(f"{error}; run the same command to continue", file=sys.stderr)
        return STOPPED_EARLY
    except (OSError, ValueError, RuntimeError, csv.Error) as error:
        message = explain(error)
        if message is None:
            raise
        print(f"error: {printable(message)}", file=sys.stderr)
        return USER_ERROR
    return OK


def explain(error: Exception) -> str | None:
    """One line for an error that the user's input or disk caused; None for a bug."""
    if isinstance(error, OSError):
        if error.errno not in FILE_ERRORS:
            return None
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror}; files written before are complete"
    return next((line for part, line in INPUT_ERRORS.items() if part in str(error)), None)
