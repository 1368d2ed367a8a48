"""One file to one competition through the real `kaggle` client, or one line that says what to do.

The client prints where it should raise, ends the process without credentials, returns normally from
a failed upload and never gives up waiting (kaggle 1.8 to 2.2.5). It is imported only when a file is
sent, so that a check needs neither the package nor a network.
"""

import io
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starter.recipe import UserError

log = logging.getLogger(__name__)

TIMEOUT = (10.0, 60.0)  # seconds: to connect, and without a byte from the server
RETRIES = 2  # of an upload that breaks; the client's own 10 take 6 minutes on a dead host
PIP = 'pip install --upgrade "kaggle>=1.8" six'
SETTINGS = "https://www.kaggle.com/settings/api"
PLACES = (
    f"create a token at {SETTINGS} and put it into KAGGLE_API_TOKEN or ~/.kaggle/access_token "
    "(or a user name and a key into KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle/kaggle.json)"
)


@dataclass(frozen=True)
class Sent:
    """What Kaggle took: its reference, above 0, and what it said."""

    ref: int
    message: str


def submit(csv: Path, competition: str, message: str) -> Sent:
    """Uploads a file to a competition and waits until Kaggle has taken it, not for its score.

    Credentials are the client's: KAGGLE_API_TOKEN, ~/.kaggle/access_token, KAGGLE_USERNAME and
    KAGGLE_KEY, kaggle.json, in this order. The log says which are used, never what they are.

    Raises:
        UserError: Kaggle did not take it, or may not have; one line with what to do about it.
    """
    try:
        with _captured() as printed, _time_limits():
            api = _sign_in()
            log.info("kaggle: %s to %s, credentials from %s", csv, competition, _source())
            start = printed.tell()
            answer = api.competition_submit(str(csv), message, competition, quiet=True)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"the kaggle package cannot be imported ({error}): {PIP}") from error
    except (OSError, ValueError) as error:  # all of requests' own are OSErrors
        raise UserError(_why(error, competition)) from error
    said = _line(answer.message or "")
    ref = int(answer.ref or 0)
    if ref <= 0 or said.startswith("Could not submit"):
        reason = _line(printed.getvalue()[start:]) or "nothing"
        raise UserError(
            f"Kaggle did not take {csv} ({said or 'no reference'}; the client printed: {reason}): "
            "send it again; if that repeats, see whether a proxy or firewall stops uploads"
        )
    return Sent(ref, said)


def _sign_in() -> Any:
    """The client's api object, with credentials. UserError without, or with rejected ones."""
    import requests

    try:
        from kaggle import api

        # once more: the import hides why it failed, and a notebook may have set a key since
        if hasattr(api, "_authenticated"):  # older than 2.2.4, the import itself failed
            api.authenticate()
    except (ImportError, ValueError, requests.RequestException):
        raise
    except SystemExit as error:
        token = _token_source()
        reason = f"Kaggle does not accept the token from {token}" if token else "no credentials"
        raise UserError(f"cannot sign in to Kaggle, {reason}: {PLACES}") from error
    except OSError as error:
        raise UserError(
            f"kaggle cannot make its settings folder ({_line(error)}): "
            "set KAGGLE_CONFIG_DIR to a folder that can be written"
        ) from error
    except Exception as error:
        raise UserError(f"cannot sign in to Kaggle ({_line(error)}): {PLACES}") from error
    # VERBOSE=1 in the environment makes the client print the Authorization header
    api.args = [word for word in api.args if word not in ("--verbose", "-v")]
    return api


def _token_source() -> str | None:
    """Where the token comes from; the client sends it even where it has signed in by key."""
    from kagglesdk import get_access_token_from_env

    source = get_access_token_from_env()[1]
    return "~/.kaggle/access_token" if source == "access_token" else source


def _source() -> str:
    """Where the credentials come from that go with each call."""
    token = _token_source()
    if token:
        return token
    from kaggle import api

    if "key" not in api.config_values:  # kaggle 1.8 takes the variable out of the environment
        login = "~/.kaggle/credentials.json"
        return login if os.path.exists(os.path.expanduser(login)) else "KAGGLE_API_TOKEN"
    if os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    return str(api.config)


@contextmanager
def _captured() -> Iterator[io.StringIO]:
    """Keeps what the client prints from standard output, which may be JSON; logs its warnings."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield printed
    finally:
        for line in printed.getvalue().splitlines():
            if line.startswith("Warning"):
                log.warning("kaggle: %s", line)


@contextmanager
def _time_limits() -> Iterator[None]:
    """Gives every request meanwhile a time limit and few retries; the client has no such option.

    This changes `requests.Session` for the whole process, and puts it back.
    """
    import requests

    plain = requests.Session.send

    def send(self: Any, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = TIMEOUT
        adapter = self.get_adapter(request.url)
        total = min(adapter.max_retries.total, RETRIES)
        adapter.max_retries = adapter.max_retries.new(total=total)
        return plain(self, request, **kwargs)

    requests.Session.send = send  # type: ignore[method-assign]
    try:
        yield
    finally:
        requests.Session.send = plain  # type: ignore[method-assign]


def _why(error: Exception, competition: str) -> str:
    """What went wrong on the way to Kaggle, and what to do, in one line without a secret."""
    import requests

    page = f"https://www.kaggle.com/competitions/{competition}"
    if isinstance(error, requests.HTTPError):
        return _refused(error, competition, page)
    if isinstance(error, json.JSONDecodeError):
        return (
            "Kaggle's answer is a web page, not data (it is under maintenance, or a proxy wants a "
            "sign-in): open https://www.kaggle.com in a browser, then send it again"
        )
    if isinstance(error, requests.ConnectionError):
        return (
            f"no connection to Kaggle ({type(error).__name__}): check the network and https_proxy; "
            "in a Kaggle notebook switch Internet on"
        )
    if isinstance(error, requests.Timeout):
        return (
            f"Kaggle did not answer within {TIMEOUT[1]:g} s: see {page}/submissions whether it has "
            "the file, and send it again if not"
        )
    header = requests.exceptions.InvalidHeader
    if isinstance(error, header) or not isinstance(error, OSError):  # its text repeats the token
        return (
            f"the credentials from {_source()} hold a character that is no part of them, such as "
            "a line break: paste them again"
        )
    return f"sending failed ({type(error).__name__}: {_line(error)}): send it again"


def _refused(error: Any, competition: str, page: str) -> str:
    """What an HTTP status means here. `error`: a requests.HTTPError."""
    status = error.response.status_code if error.response is not None else 0
    said = f"({status}: {_line(error)})"
    if status == 401:
        return f"Kaggle does not accept the credentials from {_source()} {said}: {PLACES}"
    if status == 403:
        return (
            f"Kaggle refuses {said}: join the competition and accept its rules at {page}/rules, "
            "then send it again"
        )
    if status == 404:
        return (
            f"Kaggle knows no competition {competition!r} {said}: the slug is the last part of its "
            "address; set submission.competition or give --competition SLUG"
        )
    if status == 429:
        return f"too many requests to Kaggle {said}: wait some minutes, then send it again"
    if status >= 500:
        return (
            f"Kaggle has a fault {said}: wait some minutes, see {page}/submissions whether it has "
            "the file, and send it again if not"
        )
    if "daily" in said.lower() or "allowance" in said.lower():
        return f"Kaggle refuses {said}: the allowance starts anew at 00:00 UTC"
    return f"Kaggle refuses {said}: mend that; the rules are at {page}"


def _line(text: object) -> str:
    """Text of others as one line of bounded length."""
    return " ".join(str(text).split())[:400]
