"""What goes wrong with Kaggle, each kind with its exit code and one line that says what to do."""

import errno
import json

from starter.errors import UserError

SETTINGS = "https://www.kaggle.com/settings/api"
PLACES = (
    f"create a token at {SETTINGS} and put it into KAGGLE_API_TOKEN or ~/.kaggle/access_token "
    "(or a user name and a key into KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle/kaggle.json)"
)

DELIBERATE = (400, 403, 404, 409, 422)  # statuses by which Kaggle itself refuses
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)  # not Kaggle's faults


class NotSignedIn(UserError):
    """No kaggle package, no credentials, or ones that Kaggle does not accept."""

    exit_code = 4


class Refused(UserError):
    """Kaggle understood, and will not: rules not accepted, no such competition, closed."""

    exit_code = 5


class LimitReached(UserError):
    """No submission is left today, or for ever."""

    exit_code = 6


class NotReached(UserError):
    """No connection, no answer in time, a fault of Kaggle's: nothing was taken, send it again."""

    exit_code = 8


class Unsure(UserError):
    """The connection broke after the upload and Kaggle does not list the file (yet)."""

    exit_code = 9


class NotScored(UserError):
    """Kaggle took the file and could not score it."""

    exit_code = 10


class NoScoreYet(UserError):
    """Kaggle took the file and has no score for it in the time given."""

    exit_code = 11


def explain(
    error: Exception, competition: str, source: str, timeout: float, again: str = "send it again"
) -> UserError:
    """What went wrong on the way to Kaggle, and what to do, in one line without a secret.

    source: where the credentials come from. timeout: seconds that an answer was waited for. again:
    how the user tries once more.
    """
    import requests

    if isinstance(error, requests.HTTPError):
        return _refusal(error, competition, source, again)
    if isinstance(error, json.JSONDecodeError):
        return web_page(again)
    if isinstance(error, requests.ConnectionError):
        return NotReached(
            f"no connection to Kaggle, or it broke ({type(error).__name__}): check the network and "
            f"https_proxy (in a Kaggle notebook switch Internet on), then {again}"
        )
    if isinstance(error, requests.Timeout):
        return NotReached(f"Kaggle did not answer within {timeout:g} s: {again}")
    header = (requests.exceptions.InvalidHeader, UnicodeError)
    if isinstance(error, header) or "header" in str(error).lower():  # its text repeats the token
        return NotSignedIn(
            f"the credentials from {source} hold a character that is no part of them, such as "
            "a line break: paste them again"
        )
    if not isinstance(error, OSError):
        return Refused(f"the kaggle client refuses: {line(error)}")
    if error.errno in DISK:
        return UserError(
            f"{error.filename or 'the disk'}: {error.strerror}: mend that, or name "
            f"another place, then {again}"
        )
    return NotReached(f"sending failed ({type(error).__name__}: {line(error)}): {again}")


def is_refusal(error: UserError) -> bool:
    """Whether Kaggle looked at a request and said no. A status that anything on the way may give
    (a proxy's 401, 408, 429 or 5xx, a redirection) says nothing of what Kaggle did."""
    import requests

    cause = error.__cause__
    if not isinstance(cause, requests.HTTPError) or cause.response is None:
        return False
    return cause.response.status_code in DELIBERATE


def web_page(again: str) -> NotReached:
    """For an answer that is HTML where data was asked for."""
    return NotReached(
        "Kaggle's answer is a web page, not data (it is under maintenance, or a proxy wants a "
        f"sign-in): open https://www.kaggle.com in a browser, then {again}"
    )


def _refusal(error, competition: str, source: str, again: str) -> UserError:
    """What an HTTP status means here. `error`: a requests.HTTPError."""
    status = error.response.status_code if error.response is not None else 0
    said = f"({status}: {line(error)})"
    page = f"https://www.kaggle.com/competitions/{competition}"
    if status == 401:
        return NotSignedIn(f"Kaggle does not accept the credentials from {source} {said}: {PLACES}")
    if not competition and status in (403, 404):
        return Refused(f"Kaggle refuses, or knows nothing of that name {said}")
    if status == 403:
        return Refused(
            f"Kaggle refuses {said}: join the competition and accept its rules at {page}/rules, "
            f"then {again}"
        )
    if status == 404:
        return Refused(
            f"Kaggle has no competition {competition!r} {said}: the slug is the last part of its "
            "address; set submission.competition or give --competition SLUG"
        )
    if status == 429:
        return NotReached(f"too many requests to Kaggle {said}: wait some minutes, then {again}")
    if status >= 500:
        return NotReached(f"Kaggle has a server error {said}: wait some minutes, then {again}")
    if "daily" in said.lower() or "allowance" in said.lower():
        return LimitReached(f"Kaggle refuses {said}: the daily allowance resets at 00:00 UTC")
    rules = f"; the rules are at {page}" if competition else ""
    return Refused(f"Kaggle refuses {said}: mend that{rules}")


def line(text: object) -> str:
    """Text of others as one line of bounded length."""
    return " ".join(str(text).split())[:400]
