"""A Kaggle that misbehaves in every way known, each with its message, exit code and ledger."""

import json
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest

from starter.kaggle import client, leaderboard
from tests.kaggle.conftest import lines_of, refused
from tests.kaggle.stub import TOKEN, Fault, answer, refusal

ALLOWANCE = refusal(
    400, "Submission not allowed: Your team has used its daily Submission allowance (5) today"
)
FAULTS = {  # method, its answer, exit code, parts of the message
    "rules not accepted": (
        "StartSubmissionUpload",
        refusal(403, "You must accept this competition's rules"),
        5,
        "accept its rules at https://www.kaggle.com/competitions/stub-comp/rules",
    ),
    "no such competition": (
        "GetSubmissionLimits",
        refusal(404, "Not found"),
        5,
        "'stub-comp' | --competition SLUG",
    ),
    "daily limit": ("CreateSubmission", ALLOWANCE, 6, "daily Submission allowance (5) | 00:00 UTC"),
    "another refusal": (
        "CreateSubmission",
        refusal(400, "The competition is closed.\nSorry."),
        5,
        "The competition is closed. Sorry. | competitions/stub-comp",
    ),
    "not accepted": (
        "GetSubmissionLimits",
        refusal(401, "Unauthenticated"),
        4,
        "the credentials from KAGGLE_ | https://www.kaggle.com/settings/api",
    ),
    "too many at first": ("GetSubmissionLimits", Fault(429, "slow"), 8, "429 | wait some minutes"),
    "fault with JSON": ("StartSubmissionUpload", refusal(500, "Oh no"), 8, "Oh no | send it"),
    "fault without JSON": ("ListSubmissions", Fault(503, "<html>"), 8, "503 | wait some"),
    "a web page": (
        "GetSubmissionLimits",
        Fault(200, "<html>Sign in"),
        8,
        "a web page | in a browser",
    ),
    "a number": ("ListSubmissions", Fault(200, "3", "application/json"), 8, "does not understand"),
    "an unknown word": (
        "ListSubmissions",
        answer(submissions=[{"ref": 1, "status": "QUEUED"}]),
        8,
        "QUEUED | pip install --upgrade",
    ),
    "upload refused": ("PUT", Fault(403), 8, "Could not submit | send it again"),
    "upload broken": ("PUT", Fault(503), 8, "Could not submit | send it again"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_is_one_line_that_says_what_to_do(fault, in_process, door, monkeypatch):
    method, reply, code, parts = FAULTS[fault]
    in_process.faults[method] = reply
    monkeypatch.setenv("VERBOSE", "1")
    refused(door.file(), code, *parts.split(" | "))
    assert not in_process.taken and not lines_of(door.ledger)


def test_a_secret_that_kaggle_repeats_is_not_passed_on(in_process, door, credentials):
    [*_, secret] = credentials.values()
    in_process.faults["CreateSubmission"] = refusal(400, f"bad {secret} here")
    refused(door.file(), 5, "bad *** here")
    in_process.faults.clear()
    in_process.scores = ["x"]
    in_process.error = f"a file of {secret}"
    refused(door.file(), 10, "a file of ***")


LOST = {  # what CreateSubmission answers although it took the file
    "connection closed": Fault(lost=True, after=True),
    "no answer": Fault(hang=True, after=True),
    "fault of the server": Fault(502, "<html>Bad gateway", after=True),
    "a web page": Fault(200, "<html>", after=True),
    "no reference": Fault(200, '{"message": "Hm."}', "application/json", after=True),
    "reference 0": Fault(200, '{"ref": 0}', "application/json", after=True),
}


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_looked_for_and_nothing_is_sent_twice(
    fault, in_process, door, monkeypatch
):
    monkeypatch.setattr(client, "TIMEOUT", (2.0, 0.8))
    in_process.faults["CreateSubmission"] = LOST[fault]
    done = door.file("--message", "once")
    assert done.returncode == 0, done.stderr
    assert "taken (ref 1000)" in done.stdout and len(in_process.taken) == 1
    [line] = lines_of(door.ledger)
    assert (line["ref"], line["public"]) == (1000, 0.91234)


def test_a_lost_answer_that_is_listed_late_is_found_by_the_next_call(in_process, door, csv):
    in_process.faults["CreateSubmission"] = [Fault(lost=True, after=True)]
    empty = answer(submissions=[])
    in_process.faults["ListSubmissions"] = [empty] * 4
    refused(door.file("--message", "a"), 9, "run the same command", "stub-comp/submissions")
    [line] = lines_of(door.ledger)
    assert (line["ref"], line["status"]) == (None, "sending")
    done = door.file("--message", "a")
    assert done.returncode == 0 and "taken (ref 1000)" in done.stdout, done.stderr
    assert len(in_process.taken) == len(in_process.uploads) == 1
    [line] = lines_of(door.ledger)
    assert (line["ref"], line["public"]) == (1000, 0.91234)


def test_what_never_arrived_is_sent_after_ten_minutes(in_process, door, monkeypatch):
    in_process.faults["CreateSubmission"] = [Fault(lost=True)]
    refused(door.file(), 9, "run the same command")
    refused(door.file(), 9, "nothing was sent", "run the same command after")  # too early to tell
    monkeypatch.setattr(leaderboard, "now", lambda: datetime.now(UTC) + timedelta(minutes=11))
    done = door.file()
    assert done.returncode == 0, done.stderr
    assert len(in_process.taken) == len(lines_of(door.ledger)) == 1


def test_an_older_submission_of_the_same_name_is_not_taken_for_this_one(in_process, door, csv):
    assert door.file("--message", "m").returncode == 0
    csv.write_bytes(csv.read_bytes() + b"\r\n")
    in_process.faults["CreateSubmission"] = [Fault(lost=True)]
    refused(door.file("--message", "m"), 9, "does not list it")
    assert [line["ref"] for line in lines_of(door.ledger)] == [1000, None]


def test_without_allowance_nothing_is_sent(in_process, door):
    in_process.allowed = 0
    in_process.submissions = []
    in_process.faults["GetSubmissionLimits"] = answer(numToday=10, numTotal=30)
    refused(door.file(), 6, "0 of 10 left, resets 00:00 UTC")
    in_process.faults["GetSubmissionLimits"] = answer(numToday=1, numTotal=99, limitedByTotal=True)
    refused(door.file(), 6, "0 left of all", "used up")
    assert not in_process.uploads and not lines_of(door.ledger)
    in_process.faults["GetSubmissionLimits"] = answer()  # all zero: no team yet, nothing is known
    assert door.file().returncode == 0


def test_the_same_file_again_is_refused_unless_forced(in_process, door, csv):
    assert door.file().returncode == 0
    done = door.file("--message", "again")
    refused(done, 7, "submitted before: ref 1000", "public score 0.91234", "--force")
    assert len(in_process.taken) == 1
    assert door.file("--force").returncode == 0
    assert [line["ref"] for line in lines_of(door.ledger)] == [1000, 1001]
    csv.write_bytes(csv.read_bytes() + b"\r\n")
    assert door.file().returncode == 0


def test_what_kaggle_could_not_score_is_told_in_its_own_words(in_process, door):
    in_process.scores = ["x"]
    refused(door.file(), 10, "ref 1000", "Evaluation Exception: 3,001 rows expected")
    [line] = lines_of(door.ledger)
    assert line["status"] == "error" and "3,001 rows" in line["error"]
    listed = door("status", "--ledger", str(door.ledger))
    assert "ref 1000: Evaluation Exception: 3,001 rows expected" in listed.stdout


def test_a_score_that_never_comes_is_given_up_and_found_later(in_process, door):
    in_process.scores = [None]
    refused(door.file("--timeout", "0.1"), 11, "ref 1000 has no score after 0.1 s")
    assert [line["status"] for line in lines_of(door.ledger)] == ["pending"]
    assert in_process.named("GetSubmission")
    in_process.submissions[0] |= {"status": "COMPLETE", "publicScore": "0.8", "privateScore": "0.7"}
    done = door("status", "--watch", "--ledger", str(door.ledger))
    assert done.returncode == 0 and "0.80000  0.70000" in done.stdout
    [line] = lines_of(door.ledger)
    assert (line["status"], line["public"], line["private"]) == ("complete", 0.8, 0.7)


def test_faults_while_waiting_do_not_end_the_wait(in_process, door, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", (1.0, 0.3))
    in_process.faults["GetSubmission"] = [
        refusal(404, "Not found"),
        Fault(500),
        Fault(429),
        Fault(200, "<html>"),
        Fault(lost=True),
        Fault(hang=True),
        answer(ref=1000, status="PENDING"),
    ]
    done = door.file("--watch")
    assert done.returncode == 0 and "public score 0.91234" in done.stdout, done.stderr
    assert len(in_process.named("GetSubmission")) == 8


def test_a_server_that_stays_away_while_waiting_is_given_up(in_process, door):
    in_process.faults["GetSubmission"] = Fault(500)
    refused(door.file("--watch"), 8, "ref 1000 was submitted, but its score cannot be read")
    in_process.faults["GetSubmission"] = refusal(401, "Unauthenticated")
    refused(door.file("--force"), 4, "does not accept the credentials")
    assert [line["status"] for line in lines_of(door.ledger)] == ["pending", "pending"]


def test_the_waits_grow_from_5_to_60_seconds(monkeypatch):
    from starter.kaggle import competition

    clock, waits = [0.0], []

    def sleep(seconds):
        waits.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(competition.time, "sleep", sleep)
    monkeypatch.setattr(competition.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(competition, "submission", lambda *_: None)
    with pytest.raises(competition.NoScoreYet):
        competition.wait(None, 1, 200.0, lambda _: None)
    assert waits == [5, 10, 20, 40, 60, 60, 5]


def test_without_waiting_one_conversation_is_enough(in_process, door):
    assert door.file("--no-wait").returncode == 0
    assert not in_process.named("GetSubmission")
    assert [line["status"] for line in lines_of(door.ledger)] == ["pending"]


def test_a_damaged_ledger_is_told_before_anything_is_sent(in_process, door):
    door.ledger.write_text(
        '{"competition": "a", "ref": 1, "sha256": "0", "status": "x"}\n{"ref": 1'
    )
    refused(door.file(), 2, "ledger.jsonl:2: damaged")
    assert not in_process.calls


def test_limits_best_and_status_ask_kaggle(in_process, door, csv):
    slug = ("--competition", "stub-comp")
    assert door("limits", *slug).stdout == "stub-comp: 10 of 10 left, resets 00:00 UTC\n"
    refused(door("best", *slug, "--ledger", str(door.ledger)), 2, "no submission")
    refused(door("limits"), 2, "--competition SLUG")
    in_process.scores = ["0.5", "0.9", "0.7"]
    for i in range(3):
        csv.write_bytes(csv.read_bytes() + b"\r\n")
        assert door.file("--message", f"try {i}").returncode == 0
    book = ("--ledger", str(door.ledger))
    assert "public score 0.9, " in door("best", *book).stdout  # the ledger knows the competition
    assert "public score 0.5, " in door("best", "--lower", *book).stdout
    assert json.loads(door("best", "--json", *book).stdout)["message"] == "try 1"
    listed = json.loads(door("status", "--json", *book).stdout)["submissions"]
    assert [s["ref"] for s in listed] == [1002, 1001, 1000]
    mine = door("status", str(csv), *slug, *book).stdout
    assert "1002" in mine and "1001" not in mine
    assert door("limits", *slug).stdout == "stub-comp: 7 of 10 left, resets 00:00 UTC\n"


def test_every_kind_of_failure_has_its_exit_code_in_the_help(capsys):
    import inspect

    from starter.kaggle import errors
    from starter.submission import SubmittedBefore
    from submit import parse

    kinds = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    codes = {c.exit_code for c in [*kinds, SubmittedBefore] if issubclass(c, errors.UserError)}
    assert len(codes) == 9
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert not [code for code in codes if f"\n {code:2} " not in text]


def test_requests_is_left_as_it_was(in_process, door):
    import requests

    plain = requests.Session.send
    assert door.file().returncode == 0 and requests.Session.send is plain
    in_process.faults["GetSubmissionLimits"] = refusal(400, "no")
    assert door.file("--force").returncode == 5 and requests.Session.send is plain


METHODS = [
    "IntrospectToken",
    "GetSubmissionLimits",
    "ListSubmissions",
    "StartSubmissionUpload",
    "PUT",
    "CreateSubmission",
]


@pytest.mark.parametrize("method", METHODS)
def test_a_silent_server_is_given_up(in_process, door, monkeypatch, method):
    if method == "IntrospectToken":
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    in_process.faults[method] = Fault(hang=True)
    monkeypatch.setattr(client, "TIMEOUT", (2.0, 0.5))
    monkeypatch.setattr(client, "RETRIES", 1)
    start = time.monotonic()
    done = door.file()
    assert time.monotonic() - start < 10
    if method == "PUT":
        refused(done, 8, "Read timed out", "send it again")  # what the client printed
    elif method == "CreateSubmission":
        refused(done, 9, "within 0.5 s", "stub-comp/submissions")
    else:
        refused(done, 8, "within 0.5 s", "send it again")
    assert not in_process.taken


def test_a_dead_upload_host_is_given_up(in_process, door):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        in_process.blob_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    start = time.monotonic()
    refused(door.file(), 8, "Could not submit", "refused", "send it again")
    assert time.monotonic() - start < 10
    assert not lines_of(door.ledger)
