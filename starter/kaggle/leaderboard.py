"""The way to the leaderboard: check, allowance, upload, score, ledger; and looking back.

Every function raises UserError, whose `exit_code` says what kind of failure it was.
"""

import dataclasses
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starter.errors import UserError
from starter.files import lock, sha256
from starter.kaggle import competition as board
from starter.kaggle.client import Client
from starter.kaggle.competition import Submission
from starter.kaggle.errors import NoScoreYet, Unsure
from starter.submission.facts import facts, fill_message
from starter.submission.handin import Handin, checked, open_target
from starter.submission.ledger import NAME, Entry, Ledger, SubmittedBefore, trust

log = logging.getLogger(__name__)

SCORE_TIMEOUT = 900.0  # seconds; scoring takes some, a busy evening some minutes
PATIENCE = 300.0  # seconds that a submit waits for another one of the same ledger
# A file that Kaggle took is listed within a minute or so; one that is not after this was not taken.
ABSENT_AFTER = timedelta(minutes=10)


def submit(
    target: str | Path,
    *,
    dry_run: bool = False,
    competition: str | None = None,
    sample: str | Path | None = None,
    message: str | None = None,
    force: bool = False,
    wait: bool = True,
    timeout: float | None = SCORE_TIMEOUT,
    ledger: str | Path | None = None,
) -> dict:
    """Checks a run's submission (or any csv), sends it once, waits for its score.

    Args:
        target: a run folder, or a csv file.
        dry_run: stop after the check.
        competition, sample: override the run's recipe; a csv needs a competition.
        message: may contain {run}, {stage}, {combined}, {accuracy}, {eer}, {commit}.
        force: send a file that the ledger knows already.
        wait: for the score, `timeout` seconds (None: as long as it takes).
        ledger: its file; default: submissions.jsonl beside the run folder, or in runs/.
    Returns:
        csv, rows, sample, warnings, and (unless dry_run) the ledger's line of this submission.
    """
    result, handin = checked(target, sample)
    if dry_run:
        return result
    slug = _slug(competition, handin)
    book = _open_ledger(handin, ledger)
    busy = f"{book.path}: another submit holds this ledger; run the same command when it is done"
    # From the look into the ledger to Kaggle's reference: of two submits of one file, one sends it.
    with lock(book.path.with_name(f".{book.path.name}.submit.lock"), busy, PATIENCE):
        entry = _new_entry(handin, slug, message)
        earlier = [e for e in book.entries(slug) if e.sha256 == entry.sha256]
        if not force:
            _refuse_submitted(earlier, handin.csv)
        client = Client(slug)
        entry = _recover(client, book, earlier) or _send(client, book, entry, handin.csv)
    if wait:
        entry = _wait(client, book, entry, timeout)
    return result | entry.model_dump(mode="json")


def _new_entry(handin: Handin, slug: str, message: str | None) -> Entry:
    """The ledger's line of a file that is about to be sent."""
    known = facts(handin.folder)
    default = handin.recipe.name if handin.recipe else handin.csv.stem
    return Entry(
        **dict(known),
        time=now().isoformat(timespec="seconds"),
        competition=slug,
        ref=None,
        file=handin.csv.name,
        sha256=sha256(handin.csv),
        message=fill_message(message or default, known),
        status="sending",
    )


def now() -> datetime:
    """UTC."""
    return datetime.now(UTC)


def limits(target: str | Path | None = None, *, competition: str | None = None) -> dict:
    """What may still be sent today: competition, left, used_today, used, text."""
    slug = _slug(competition, open_target(target) if target else None)
    allowance = board.limits(Client(slug))
    return {"competition": slug, "text": str(allowance), **dataclasses.asdict(allowance)}


def status(
    target: str | Path | None = None,
    *,
    competition: str | None = None,
    watch: bool = False,
    ledger: str | Path | None = None,
) -> dict:
    """The team's newest submissions as Kaggle lists them; brings the ledger up to date.

    Args:
        target: a run folder or csv: the ledger's submissions of it alone.
        watch: wait until none of them is pending.
    Returns:
        competition, submissions: a list of Kaggle's values, with `run` where the ledger knows it.
    """
    slug, book, handin = _open(target, competition, ledger)
    client = Client(slug)
    run_of = {e.ref: e.run for e in book.entries(slug) if _is_of(e, handin)}
    if watch:
        for entry in book.entries(slug):
            if entry.ref in run_of and entry.ref and entry.status == "pending":
                board.wait(client, entry.ref, None, _writer(book, entry))
    listed = [
        dataclasses.asdict(s) | {"run": run_of.get(s.ref)}
        for s in _up_to_date(client, book, slug)
        if handin is None or s.ref in run_of
    ]
    return {"competition": slug, "submissions": listed}


def best(
    target: str | Path | None = None,
    *,
    competition: str | None = None,
    lower: bool = False,
    ledger: str | Path | None = None,
) -> dict:
    """The team's submission with the best public score, and what the ledger knows of it.

    Args:
        lower: a lower score is better; Kaggle does not say which.
    """
    slug, book, _ = _open(target, competition, ledger)
    scored = {s.public: s for s in _up_to_date(Client(slug), book, slug) if s.public is not None}
    if not scored:
        raise UserError(f"no submission to {slug} has a public score yet")
    first = scored[min(scored) if lower else max(scored)]
    lines = [e.model_dump(mode="json") for e in book.entries(slug) if e.ref == first.ref]
    return {"competition": slug, **(lines[0] if lines else {}), **dataclasses.asdict(first)}


def look_back(
    competition: str | None = None, *, metric: str | None = None, ledger: str | Path | None = None
) -> dict:
    """The ledger's lines, and how well validation predicted the leaderboard. Asks nobody."""
    book = _open_ledger(None, ledger)
    entries = book.entries(competition)
    compared: dict[str, list[dict]] = {entry.competition: [] for entry in entries}
    for slug, lines in compared.items():
        mine = [entry for entry in entries if entry.competition == slug]
        both = (trust(mine, metric, "public"), trust(mine, metric, "private"))
        lines += [dataclasses.asdict(one) for one in both if one is not None]
    return {
        "ledger": book.path.as_posix(),
        "entries": [entry.model_dump(mode="json") for entry in entries],
        "trust": compared,
    }


def _open(
    target: str | Path | None, competition: str | None, ledger: str | Path | None
) -> tuple[str, Ledger, Handin | None]:
    """The competition, the ledger and the hand-in that a command means; without any of them, the
    competition of the ledger's last line."""
    handin = open_target(target) if target else None
    book = _open_ledger(handin, ledger)
    if competition is None and handin is None:
        competition = next((e.competition for e in reversed(book.entries())), None)
    return _slug(competition, handin), book, handin


def _open_ledger(handin: Handin | None, path: str | Path | None) -> Ledger:
    """The ledger at `path`, else beside the run folder, else in runs/."""
    runs = handin.folder.path.parent if handin and handin.folder else Path("runs")
    return Ledger(Path(path) if path else runs / NAME)


def _slug(given: str | None, handin: Handin | None) -> str:
    slug = given or (handin and handin.recipe and handin.recipe.submission.competition)
    if not slug:
        raise UserError("no competition: set submission.competition or give --competition SLUG")
    return slug


def _refuse_submitted(earlier: list[Entry], csv: Path) -> None:
    sent = [entry for entry in earlier if entry.ref]
    if sent:
        last = sent[-1]
        score = "" if last.public is None else f", public score {last.public:g}"
        raise SubmittedBefore(
            f"{csv} was submitted before: ref {last.ref} on {last.time[:16]} ({last.status}"
            f"{score}); --force sends it again; for its score: python submit.py status"
        )


def _recover(client: Client, book: Ledger, earlier: list[Entry]) -> Entry | None:
    """An earlier try at this file whose answer was lost, where Kaggle has it; with its ref."""
    for entry in earlier:
        if entry.ref:
            continue
        known = {e.ref for e in book.entries(entry.competition) if e.ref}
        ref = board.find(client, entry.file, entry.message, entry.after or 0, known)
        if ref is not None:
            log.info("it was submitted at %s: Kaggle has it as ref %d", entry.time, ref)
            return book.change(entry, ref=ref, status="pending")
        since = datetime.fromisoformat(entry.time)
        if now() - since < ABSENT_AFTER:
            raise Unsure(
                f"{entry.file} was handed over at {entry.time}, and Kaggle does not list it (yet); "
                f"nothing was sent: run the same command after {since + ABSENT_AFTER:%H:%M} UTC"
            )
        log.info("an earlier try at %s did not reach Kaggle", entry.time)
        book.remove(entry)
    return None


def _send(client: Client, book: Ledger, entry: Entry, csv: Path) -> Entry:
    """Allowance, then the upload, with the ledger's line written first and true afterwards."""
    allowance = board.limits(client)
    log.info("kaggle: %s: %s", entry.competition, allowance)
    board.refuse_without_allowance(allowance)
    newest = max((s.ref for s in board.submissions(client)), default=0)
    entry = book.add(entry.model_copy(update={"after": newest}))
    log.info("kaggle: sending %s to %s", csv, entry.competition)
    try:
        ref = board.send(client, csv, entry.message, newest)
    except Unsure:
        raise  # the line stays: the next submit looks for it first
    except UserError:
        book.remove(entry)
        raise
    log.info("kaggle: taken, ref %d", ref)
    return book.change(entry, ref=ref, status="pending")


def _wait(client: Client, book: Ledger, entry: Entry, timeout: float | None) -> Entry:
    assert entry.ref is not None
    try:
        board.wait(client, entry.ref, timeout, _writer(book, entry))
    except KeyboardInterrupt:
        raise NoScoreYet(
            f"stopped waiting; Kaggle has ref {entry.ref}: python submit.py status"
        ) from None
    return next(e for e in book.entries(entry.competition) if e.ref == entry.ref)


def _writer(book: Ledger, entry: Entry) -> Callable[[Submission], None]:
    """Writes what Kaggle says of a submission into its line of the ledger."""

    def write(submission: Submission) -> None:
        nonlocal entry
        keys = ("status", "public", "private", "error")
        values = {key: getattr(submission, key) for key in keys}
        if any(getattr(entry, key) != value for key, value in values.items()):
            entry = book.change(entry, **values)

    return write


def _up_to_date(client: Client, book: Ledger, slug: str) -> list[Submission]:
    """Kaggle's newest submissions, their scores also in the ledger."""
    listed = board.submissions(client)
    by_ref = {s.ref: s for s in listed}
    for entry in book.entries(slug):
        if entry.ref in by_ref:
            _writer(book, entry)(by_ref[entry.ref])
    return listed


def _is_of(entry: Entry, handin: Handin | None) -> bool:
    """Whether a line is of this run, or of this very file; every line, where none is meant."""
    if handin is None:
        return True
    if handin.folder is not None:
        return entry.run == handin.folder.name
    return entry.sha256 == sha256(handin.csv)
