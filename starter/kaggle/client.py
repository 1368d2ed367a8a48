"""The real `kaggle` client: signed in once, every call bounded in time, every fault one line.

The client prints where it should raise, ends the process without credentials, returns normally from
a failed upload and never gives up waiting (kaggle 2.2.5). It is imported only when Kaggle is
asked, so that a check needs neither the package nor a network.
"""

import io
import logging
import math
import os
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeVar

from starter.errors import UserError
from starter.kaggle.errors import PLACES, NotReached, NotSignedIn, explain, line

log = logging.getLogger(__name__)
T = TypeVar("T")

TIMEOUT = (10.0, 60.0)  # seconds: to connect, and without a byte from the server
CALL = 600.0  # seconds: for one call as a whole, an upload on a slow line included
RETRIES = 2  # of an upload that breaks; the client's own 10 take 6 minutes on a dead host
PIP = 'pip install --upgrade "kaggle>=2.2.5" six'


class Client:
    """Signed in to Kaggle, for one competition (or none, where kernels are meant).

    Credentials are the client's own: KAGGLE_API_TOKEN, ~/.kaggle/access_token, KAGGLE_USERNAME and
    KAGGLE_KEY, kaggle.json, in this order. The log says which are used, never what they are.

    Raises:
        UserError: one of starter.kaggle.errors, with what to do about it.
    """

    def __init__(self, competition: str = "", again: str = "send it again"):
        self.competition = competition
        self.again = again  # how the user tries once more, in messages
        self.requested: list[str] = []  # the methods that requests were begun for, in order
        self.printed = ""  # what the client printed during the last call
        self.api: Any = None
        self.api = self.call(_sign_in)
        self.source = _source()
        log.info("kaggle: credentials from %s", self.source)

    @property
    def user(self) -> str:
        """The user name that goes with the credentials. NotSignedIn where none is known."""
        name = self.api.config_values.get("username")
        if not name:
            raise NotSignedIn(f"Kaggle names no user for the credentials from {self.source}")
        return str(name)

    def call(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """Does something with the client; what it raises becomes a line without a secret.

        seconds: that all of it may take (default: CALL); a server that sends a byte now and then
        is given up too. A download takes as long as it takes: math.inf.
        """
        printed = io.StringIO()
        try:
            with redirect_stdout(printed), _time_limits(self.requested):
                return self._within(CALL if seconds is None else seconds, work)
        except UserError as error:
            raise type(error)(self.scrub(str(error))) from None
        except ImportError as error:
            raise NotSignedIn(f"the kaggle package cannot be imported ({error}): {PIP}") from error
        except (OSError, ValueError) as error:  # all of requests' own are OSErrors
            explained = explain(error, self.competition, _source(), TIMEOUT[1], self.again)
            raise type(explained)(self.scrub(str(explained))) from error
        except (KeyError, TypeError, AttributeError) as error:
            if not _from_sdk(error):
                raise
            raise NotReached(
                f"the kaggle client does not understand Kaggle's answer ({self.scrub(line(error))})"
                f": {PIP}"
            ) from error
        finally:  # a result may be JSON on standard output: the client's words are kept from it
            self.printed = self.scrub(line(printed.getvalue()))
            for text in printed.getvalue().splitlines():
                if text.startswith("Warning"):
                    log.warning("kaggle: %s", self.scrub(text))

    def _within(self, seconds: float, work: Callable[[], T]) -> T:
        """What `work` returns or raises; NotReached where it takes longer, and it is left alone."""
        if math.isinf(seconds):
            return work()
        done: Future[T] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # the client ends the process where it should raise
                done.set_exception(error)

        threading.Thread(target=do, daemon=True).start()
        try:
            return done.result(seconds)
        except TimeoutError:
            if done.done():
                raise
            raise NotReached(
                f"Kaggle's answer was not complete within {seconds:g} s: {self.again}"
            ) from None

    def find(self, work: Callable[[], T], absent: Collection[int]) -> T | None:
        """As `call`; None where Kaggle answers with one of these statuses."""
        import requests

        def ask() -> T | None:
            try:
                return work()
            except requests.HTTPError as error:
                if error.response is not None and error.response.status_code in absent:
                    return None
                raise

        return self.call(ask)

    def scrub(self, text: str) -> str:
        """The text without a key or token in it, wherever an error repeats one."""
        values = self.api.config_values if self.api is not None else {}
        secrets = [
            values.get("key"),
            values.get("token"),
            os.environ.get("KAGGLE_KEY"),
            os.environ.get("KAGGLE_API_TOKEN"),
            _token()[0],
        ]
        for secret in secrets:
            if secret and len(secret.strip()) > 3:
                text = text.replace(secret.strip(), "***")
        return text


def _from_sdk(error: Exception) -> bool:
    """Whether the client stumbled over an answer: an unknown status, a list for an object."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        if "kagglesdk" in step.tb_frame.f_code.co_filename:
            return True
        step = step.tb_next
    return step is not None and "kagglesdk" in step.tb_frame.f_code.co_filename


def _sign_in() -> Any:
    """The client's api object, with credentials. NotSignedIn without, or with rejected ones."""
    import requests

    try:
        from kaggle import api

        # once more: the import hides why it failed, and a notebook may have set a key since
        api.authenticate()
    except (ImportError, ValueError, requests.RequestException):
        raise
    except SystemExit as error:
        source = _token()[1]
        reason = f"Kaggle does not accept the token from {source}" if source else "no credentials"
        raise NotSignedIn(f"cannot sign in to Kaggle, {reason}: {PLACES}") from error
    except OSError as error:
        raise NotSignedIn(
            f"kaggle cannot make its settings folder ({line(error)}): "
            "set KAGGLE_CONFIG_DIR to a folder that can be written"
        ) from error
    except Exception as error:
        raise NotSignedIn(f"cannot sign in to Kaggle ({line(error)}): {PLACES}") from error
    # VERBOSE=1 in the environment makes the client print the Authorization header
    api.args = [word for word in api.args if word not in ("--verbose", "-v")]
    return api


def _token() -> tuple[str | None, str | None]:
    """The token and where it comes from; the client sends it even where it has signed in by key."""
    try:
        from kagglesdk import get_access_token_from_env
    except ImportError:
        return None, None
    token, source = get_access_token_from_env()
    return token, "~/.kaggle/access_token" if source == "access_token" else source


def _source() -> str:
    """Where the credentials come from that go with each call."""
    if source := _token()[1]:
        return source
    from kaggle import api

    if "key" not in api.config_values:
        return "~/.kaggle/credentials.json"
    if os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    return str(api.config)


@contextmanager
def _time_limits(requested: list[str]) -> Iterator[None]:
    """Gives every request meanwhile a time limit and few retries; the client has no such option.

    This changes `requests.Session` for the whole process, and puts it back. `requested` grows by
    the last part of each address.
    """
    import requests

    plain = requests.Session.send

    def send(self: Any, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = TIMEOUT  # the client's own, where it has one, is 5 minutes
        adapter = self.get_adapter(request.url)
        total = min(adapter.max_retries.total, RETRIES)
        adapter.max_retries = adapter.max_retries.new(total=total)
        requested.append(str(request.url).rsplit("/", 1)[-1])
        return plain(self, request, **kwargs)

    requests.Session.send = send  # type: ignore[method-assign]
    try:
        yield
    finally:
        requests.Session.send = plain  # type: ignore[method-assign]
