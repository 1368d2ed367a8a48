"""A file is sent once and its line is kept, whatever Kaggle answers, however late it lists."""

import itertools
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from starter.kaggle import client, leaderboard
from tests.conftest import ROOT
from tests.kaggle.conftest import environment, handing_in, lines_of, refused
from tests.kaggle.stub import Fault, refusal

# What CreateSubmission answers the first time. `after`: although it took the file.
ANSWERS = {
    f"{name}, {'taken' if after else 'not taken'}": fault | {"after": after}
    for name, fault in {
        "closed": {"lost": True},
        "401": {"status": 401},
        "407": {"status": 407},
        "408": {"status": 408},
        "425": {"status": 425},
        "429": {"status": 429},
        "499": {"status": 499},
        "500": {"status": 500},
        "502": {"status": 502},
        "504": {"status": 504},
        "307": {"status": 307},
        "a web page": {"body": "<html>"},
        "no reference": {"body": "{}", "type": "application/json"},
        "a list": {"body": "[]", "type": "application/json"},
    }.items()
    for after in (True, False)
}
LATE = (0, 45, 200, 590)  # seconds until Kaggle lists what it took
WAITS = ((0, 30, 700), (120, 120, 600), (599, 1, 60), (601, 700, 700))  # before the next calls
CASES = list(itertools.product(ANSWERS, LATE, WAITS))
WHOLE = bool(os.environ.get("STARTER_FAULTS"))  # all of them; else a fourteenth
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def clock(in_process, monkeypatch):
    """Seconds since START that the stub and the ledger go by."""
    seconds = [0.0]
    in_process.clock = lambda: seconds[0]
    monkeypatch.setattr(leaderboard, "now", lambda: START + timedelta(seconds=seconds[0]))
    return seconds


@pytest.mark.parametrize("part", range(len(LATE)))
def test_a_file_is_sent_once_and_found(part, in_process, door, clock):
    cases = CASES if WHOLE else CASES[3::14]
    for answer, late, waits in cases[part :: len(LATE)]:
        in_process.late, clock[0] = late, 0.0
        in_process.taken.clear()
        in_process.submissions.clear()
        door.ledger.unlink(missing_ok=True)
        in_process.faults["CreateSubmission"] = [Fault(**ANSWERS[answer])]
        codes = [door.file("--no-wait").returncode]
        for wait in waits:
            clock[0] += wait
            codes.append(door.file("--no-wait").returncode)
            assert len(in_process.taken) <= 1, (answer, late, waits, codes)
        [line] = lines_of(door.ledger)
        assert set(codes) <= {0, 7, 8, 9}, (answer, late, waits, codes)
        assert len(in_process.taken) == 1 and line["ref"] == 1000, (answer, late, waits, codes)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_of_kaggles_own_leaves_no_line(in_process, door, status):
    in_process.faults["CreateSubmission"] = [refusal(status, "closed")]
    assert door.file("--no-wait").returncode in (5, 6)
    assert not lines_of(door.ledger)
    assert door.file("--no-wait").returncode == 0 and len(in_process.taken) == 1


def test_an_answer_that_trickles_is_given_up(in_process, door, monkeypatch):
    monkeypatch.setattr(client, "CALL", 0.5)
    in_process.faults["GetSubmissionLimits"] = Fault(200, " " * 200, trickle=0.1)
    start = time.monotonic()
    refused(door.file(), 8, "not complete within 0.5 s")
    assert time.monotonic() - start < 5


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_of_processes_that_race_one_sends(kaggle, csv, tmp_path, processes):
    kaggle.late = 2.0
    home = tmp_path / "home"
    home.mkdir()
    keys = {"KAGGLE_USERNAME": "stubuser", "KAGGLE_KEY": "k3y-7f1e-stub-secret"}
    command = [sys.executable, "submit.py", *handing_in(csv), "--no-wait"]
    racing = [
        subprocess.Popen(command, cwd=ROOT, env=environment(home, kaggle.url, **keys))
        for _ in range(processes)
    ]
    codes = sorted(process.wait(timeout=120) for process in racing)
    assert codes == [0] + [7] * (processes - 1)
    assert len(kaggle.taken) == len(lines_of(csv.parent / "ledger.jsonl")) == 1
