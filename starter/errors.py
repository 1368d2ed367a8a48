"""The one class for mistakes a user can make and mend, and the hint that goes with a slip."""

import difflib
from collections.abc import Iterable

# What every command answers; those of `submit.py` besides are in starter.kaggle.errors.
OK, USER_ERROR, STOPPED_EARLY, INTERRUPTED = 0, 2, 3, 130


class UserError(ValueError):
    """Something the user can fix: the message names the file, the place and the fix.

    The commands print the message without a traceback and exit with `exit_code`. What can only be
    a fault of this code is an `assert` instead.
    """

    exit_code = USER_ERROR


class Interrupted(Exception):
    """Training stopped early, its checkpoint written; the same command continues it."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
