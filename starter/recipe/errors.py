"""The one class for mistakes a user can make and mend, and the hint that goes with a slip."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can fix: the message names the file, the place and the fix.

    The doors print the message without a traceback and exit with `exit_code`. What can only be a
    fault of this code is an `assert` instead.
    """

    exit_code = 2


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
