"""One competition: what may still be sent, one file sent once, its score waited for."""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from starter.errors import UserError
from starter.kaggle.client import Client
from starter.kaggle.errors import (
    LimitReached,
    NoScoreYet,
    NotReached,
    NotScored,
    Unsure,
    is_refusal,
    line,
)

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0  # seconds between two looks at a score
LOOKS = 3  # for a submission whose answer was lost; Kaggle lists a new one after some seconds
PATIENCE = 10  # looks in a row that may fail before a score is given up
PAGE = 50  # submissions asked for at once


@dataclass(frozen=True)
class Submission:
    """As Kaggle lists it. status: "pending", "complete" or "error"; scores None where absent."""

    ref: int
    file: str
    message: str
    date: str
    status: str
    public: float | None
    private: float | None
    error: str | None


@dataclass(frozen=True)
class Limits:
    """The team's submissions. `known` is False before the team's first one: all are 0 then."""

    used_today: int
    used: int
    left: int
    by_total: bool = False

    @property
    def known(self) -> bool:
        """Whether the counts say anything."""
        return bool(self.used_today or self.used or self.left)

    def __str__(self) -> str:
        if not self.known:
            return "Kaggle shows no limits yet (no team: join the competition, accept its rules)"
        if self.by_total:
            return f"{self.left} left of all that the competition allows ({self.used} used)"
        return f"{self.left} of {self.left + self.used_today} left, resets 00:00 UTC"


def limits(client: Client) -> Limits:
    """What may still be sent today."""
    answer = client.call(lambda: client.api.competition_get_submission_limits(client.competition))
    return Limits(
        answer.num_today, answer.num_total, answer.num_allowed_now, answer.limited_by_total
    )


def refuse_without_allowance(allowance: Limits) -> None:
    """LimitReached when nothing is left."""
    if allowance.known and allowance.left <= 0:
        fix = "the competition's own total is used up" if allowance.by_total else "wait until then"
        raise LimitReached(f"nothing was sent: {allowance}: {fix}")


def submissions(client: Client) -> list[Submission]:
    """The team's newest submissions, newest first."""
    answer = client.call(
        lambda: client.api.competition_submissions(client.competition, page_size=PAGE)
    )
    return sorted((_read(client, s) for s in answer or [] if s), key=lambda s: -s.ref)


def submission(client: Client, ref: int) -> Submission | None:
    """One submission; None while Kaggle does not show it yet."""

    def ask():
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

        request = ApiGetSubmissionRequest()
        request.ref = ref
        with client.api.build_kaggle_client() as kaggle:
            return kaggle.competitions.competition_api_client.get_submission(request)

    answer = client.find(ask, absent=(404,))
    return None if answer is None else _read(client, answer)


def send(client: Client, csv: Path, message: str, newest: int) -> int:
    """Uploads a file and returns Kaggle's reference. The file is sent once, whatever happens.

    Args:
        newest: the highest reference before. When the answer is lost after the file was handed
            over, a higher one with this file's name and message is this submission.
    Raises:
        Unsure: it was handed over, but neither answered nor listed.
        UserError: Kaggle did not take it.
    """
    client.requested.clear()
    try:
        answer = client.call(
            lambda: client.api.competition_submit(str(csv), message, client.competition, quiet=True)
        )
    except UserError as error:
        if "CreateSubmission" not in client.requested:
            raise
        return _recover(client, csv, message, newest, error)
    said = line(answer.message or "")
    ref = int(answer.ref or 0)
    if ref > 0 and not said.startswith("Could not submit"):
        return ref
    if "CreateSubmission" in client.requested:
        lost = NotReached(f"no reference, only: {said or 'nothing'}")
        return _recover(client, csv, message, newest, lost)
    raise NotReached(
        f"Kaggle did not accept {csv} ({said or 'no reference'}; the client printed: "
        f"{client.printed or 'nothing'}): send it again; if that repeats, see whether a proxy or "
        "firewall stops uploads"
    )


def find(
    client: Client, csv_name: str, message: str, newest: int, known: Collection[int] = ()
) -> int | None:
    """The reference above `newest`, not `known`, of a file with this name and message, or None."""
    for listed in submissions(client):
        new = listed.ref > newest and listed.ref not in known
        if new and (listed.file, listed.message) == (csv_name, message):
            return listed.ref
    return None


def _recover(client: Client, csv: Path, message: str, newest: int, why: UserError) -> int:
    """Looks for a submission whose answer was lost or cannot be believed, instead of sending it a
    second time. Where Kaggle does not list it, `why` is raised if it is Kaggle's own refusal."""
    log.warning("%s; looking whether Kaggle has the file", why)
    for look in range(LOOKS):
        if look:
            time.sleep(FIRST_WAIT)
        try:
            ref = find(client, csv.name, message, newest)
        except UserError as error:
            log.warning("%s", error)
            continue
        if ref is not None:
            log.info("Kaggle has it: ref %d", ref)
            return ref
    if is_refusal(why):
        raise why
    reason = str(why).rpartition(": ")[0] if client.again in str(why) else str(why)
    raise Unsure(
        f"{csv} was handed over, but Kaggle did not say so ({reason}) and does not list it: see "
        f"https://www.kaggle.com/competitions/{client.competition}/submissions, or run the same "
        "command in ten minutes: it looks there first and sends only what is not there"
    )


def wait(
    client: Client, ref: int, timeout: float | None, tell: Callable[[Submission], None]
) -> Submission:
    """Waits for a score, looking after 0, 5, 10, 20, 40, 60, 60 ... seconds.

    Args:
        timeout: seconds; None: as long as it takes.
        tell: given the submission whenever its state is known, also in the end.
    Raises:
        NotScored: with Kaggle's own words. NoScoreYet: still pending. NotReached: Kaggle does not
            answer any more. The file is with Kaggle in all three.
    """
    end = None if timeout is None else time.monotonic() + timeout
    pause, failed = FIRST_WAIT, 0
    while True:
        try:
            current, failed = submission(client, ref), 0
        except NotReached as error:
            failed += 1
            log.warning("%s", error)
            if failed >= PATIENCE:
                raise NotReached(
                    f"ref {ref} was submitted, but its score cannot be read: {error}"
                ) from None
            current = None
        if current is not None:
            tell(current)
            if current.status == "error":
                raise NotScored(f"Kaggle could not score ref {ref}: {current.error or 'no reason'}")
            if current.status == "complete":
                return current
        left = LONGEST_WAIT if end is None else end - time.monotonic()
        if left <= 0:
            raise NoScoreYet(f"ref {ref} has no score after {timeout:g} s; look again with status")
        log.info("ref %d: no score yet", ref)
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_WAIT)


def _read(client: Client, answer) -> Submission:
    """Kaggle's scores are text, '' where there are none."""
    error = client.scrub(line(answer.error_description or "")) or None
    return Submission(
        ref=int(answer.ref or 0),
        file=str(answer.file_name or ""),
        message=str(answer.description or ""),
        date=str(answer.date or "")[:19],
        status=answer.status.name.lower(),
        public=_number(answer.public_score),
        private=_number(answer.private_score),
        error=error,
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and isfinite(value) else None
