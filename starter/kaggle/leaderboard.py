"""The way to the leaderboard: check, allowance, upload, score, ledger; and looking back.

Every function raises UserError, whose `exit_code` says what kind of failure it was.
"""

import dataclasses
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from starter.errors import UserError
from starter.submission import LEDGER_NAME, Ledger, SubmittedBefore, sha256_of, trust
from starter.submission.facts import facts, fill_message
from starter.submission.handin import Handin, checked, open_target

log = logging.getLogger(__name__)

SCORE_TIMEOUT = 900.0  # seconds; scoring takes some, a busy evening some minutes


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
        competition, sample: over what the run's recipe says; a competition is needed for a csv.
        message: may hold {run}, {stage}, {combined}, {accuracy}, {eer}, {commit}.
        force: send a file that the ledger knows already.
        wait: for the score, `timeout` seconds (None: as long as it takes).
        ledger: its file; else submissions.jsonl beside the run folder, or in runs/.
    Returns:
        csv, sample, warnings, and (unless dry_run) the ledger's line of this submission.
    """
    result, handin = checked(target, sample)
    if dry_run:
        return result
    slug = _slug(competition, handin)
    book = open_ledger(handin, ledger)
    known = facts(handin.folder)
    default = handin.recipe.name if handin.recipe else handin.csv.stem
    text = fill_message(message or default, known)
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "competition": slug,
        "ref": None,
        "file": handin.csv.name,
        "sha256": sha256_of(handin.csv),
        **known,
        "message": text,
        "status": "sending",
        "public": None,
        "private": None,
        "error": None,
    }
    if not force:
        _refuse_known(book, entry, handin.csv)
    from starter import kaggle

    client = kaggle.Client(slug)
    entry = _lost(client, book, entry) or _send(client, book, entry, handin.csv)
    if wait:
        entry = _wait(client, book, entry, timeout)
    return result | entry


def open_ledger(handin: Handin | None = None, path: str | Path | None = None) -> Ledger:
    """The ledger at `path`, else beside the run folder, else in runs/."""
    if path is not None:
        return Ledger(Path(path))
    folder = handin.folder if handin else None
    return Ledger((folder.path.parent if folder else Path("runs")) / LEDGER_NAME)


def limits(target: str | Path | None = None, *, competition: str | None = None) -> dict:
    """What may still be sent today: competition, left, used_today, used, text."""
    from starter import kaggle

    slug = _slug(competition, open_target(target) if target else None)
    found = kaggle.limits(kaggle.Client(slug))
    if found is None:
        raise UserError("this kaggle client cannot ask for limits; it needs kaggle 2 or newer")
    return {"competition": slug, "text": str(found), **dataclasses.asdict(found)}


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
    from starter import kaggle

    handin = open_target(target) if target else None
    book = open_ledger(handin, ledger)
    slug = _slug(competition, handin, book)
    client = kaggle.Client(slug)
    mine = {e["ref"]: e for e in book.entries() if e["competition"] == slug and _is_of(e, handin)}
    for entry in mine.values() if watch else ():
        if entry["ref"] and entry["status"] == "pending":
            kaggle.wait(client, entry["ref"], None, _writer(book, entry))
    listed = [
        dataclasses.asdict(s) | {"run": mine.get(s.ref, {}).get("run")}
        for s in _up_to_date(client, book, slug)
        if handin is None or s.ref in mine
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
        lower: a lower score is the better one; Kaggle does not tell which.
    """
    from starter import kaggle

    handin = open_target(target) if target else None
    book = open_ledger(handin, ledger)
    slug = _slug(competition, handin, book)
    found = [s for s in _up_to_date(kaggle.Client(slug), book, slug) if s.public is not None]
    if not found:
        raise UserError(f"no submission to {slug} has a public score yet")
    first = (min if lower else max)(found, key=lambda s: s.public)
    line = next(
        (e for e in book.entries() if (e["competition"], e["ref"]) == (slug, first.ref)), {}
    )
    return {"competition": slug, **line, **dataclasses.asdict(first)}


def look_back(
    competition: str | None = None, *, metric: str | None = None, ledger: str | Path | None = None
) -> dict:
    """The ledger's lines, and how far validation told the leaderboard. Asks nobody."""
    book = open_ledger(None, ledger)
    entries = [e for e in book.entries() if competition in (None, e["competition"])]
    slugs = dict.fromkeys(e["competition"] for e in entries)
    told = {
        slug: [
            found
            for score in ("public", "private")
            if (found := trust([e for e in entries if e["competition"] == slug], metric, score))
        ]
        for slug in slugs
    }
    return {"ledger": book.path.as_posix(), "entries": entries, "trust": told}


def _send(client, book: Ledger, entry: dict, csv: Path) -> dict:
    """Allowance, then the upload, with the ledger's line written first and true afterwards."""
    from starter import kaggle

    allowance = kaggle.limits(client)
    if allowance is not None:
        log.info("kaggle: %s: %s", entry["competition"], allowance)
        kaggle.refuse_without_allowance(allowance)
    newest = max((s.ref for s in kaggle.submissions(client)), default=0)
    entry = book.add(entry | {"after": newest})
    log.info("kaggle: sending %s to %s", csv, entry["competition"])
    try:
        ref = kaggle.send(client, csv, entry["message"], newest)
    except kaggle.Unsure:
        raise  # the line stays: the next submit looks for it first
    except UserError:
        book.remove(entry)
        raise
    log.info("kaggle: taken, ref %d", ref)
    return book.change(entry, ref=ref, status="pending")


def _refuse_known(book: Ledger, entry: dict, csv: Path) -> None:
    before = [e for e in book.of_file(entry["sha256"], entry["competition"]) if e["ref"]]
    if before:
        raise SubmittedBefore(
            f"{csv} was submitted before: {_in_words(before[-1])}; to send it again all the same "
            "give --force; for its score: python submit.py status"
        )


def _lost(client, book: Ledger, mine: dict) -> dict | None:
    """An earlier try at this file whose answer was lost, where Kaggle has it; with its ref."""
    from starter import kaggle

    slug = mine["competition"]
    for entry in [e for e in book.of_file(mine["sha256"], slug) if not e["ref"]]:
        known = {e["ref"] for e in book.entries() if e["competition"] == slug}
        newest = entry.get("after") or 0
        ref = kaggle.find(client, entry["file"], entry["message"], newest, known)
        if ref is None:
            log.info("an earlier try at %s did not reach Kaggle", entry["time"])
            book.remove(entry)
            continue
        log.info("it was submitted at %s: Kaggle has it as ref %d", entry["time"], ref)
        return book.change(entry, ref=ref, status="pending")
    return None


def _wait(client, book: Ledger, entry: dict, timeout: float | None) -> dict:
    from starter import kaggle

    tell = _writer(book, entry)
    try:
        kaggle.wait(client, entry["ref"], timeout, tell)
    except KeyboardInterrupt:
        raise kaggle.NoScoreYet(
            f"stopped waiting; ref {entry['ref']} is with Kaggle: python submit.py status"
        ) from None
    return next(e for e in book.entries() if e["ref"] == entry["ref"])


def _writer(book: Ledger, entry: dict) -> Callable:
    """Writes what Kaggle says of a submission into its line of the ledger."""
    state = {"entry": entry}

    def tell(found) -> None:
        values = {key: getattr(found, key) for key in ("status", "public", "private", "error")}
        if any(state["entry"][key] != value for key, value in values.items()):
            state["entry"] = book.change(state["entry"], **values)

    return tell


def _up_to_date(client, book: Ledger, slug: str) -> list:
    """Kaggle's newest submissions, their scores also in the ledger."""
    from starter import kaggle

    found = kaggle.submissions(client)
    by_ref = {s.ref: s for s in found}
    for entry in book.entries():
        if entry["competition"] == slug and entry["ref"] in by_ref:
            _writer(book, entry)(by_ref[entry["ref"]])
    return found


def _is_of(entry: dict, handin: Handin | None) -> bool:
    """Whether a line is of this run, or of this very file; every line, where none is meant."""
    if handin is None:
        return True
    if handin.folder is not None:
        return entry.get("run") == handin.folder.path.name
    return entry["sha256"] == sha256_of(handin.csv)


def _slug(given: str | None, handin: Handin | None, book: Ledger | None = None) -> str:
    recipe = handin.recipe if handin else None
    slug = given or (recipe and recipe.submission.competition)
    if not slug and book is not None and handin is None:
        slug = next((e["competition"] for e in reversed(book.entries())), None)
    if not slug:
        raise UserError("no competition: set submission.competition or give --competition SLUG")
    return slug


def _in_words(entry: dict) -> str:
    score = f", public score {entry['public']:g}" if entry["public"] is not None else ""
    return f"ref {entry['ref']} on {entry['time'][:16]} ({entry['status']}{score})"
