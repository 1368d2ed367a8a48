"""`submit.py` and the real kaggle client against a Kaggle on 127.0.0.1, never the real one."""

import json
import logging
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from starter.kaggle import client, submit
from starter.recipe import UserError
from tests.conftest import ROOT
from tests.kaggle.stub import (
    BASIC,
    BEARER,
    KEY,
    SECRETS,
    TOKEN,
    USER,
    Fault,
    KaggleStub,
    answer,
    refusal,
)

BY_KEY = {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}
BY_TOKEN = {"KAGGLE_API_TOKEN": TOKEN}
NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once
OURS = ("kaggle_", "verbose", "xdg_config_home")


@pytest.fixture
def kaggle():
    with KaggleStub() as stub:
        yield stub


@pytest.fixture
def csv(tmp_path):
    """A filled submission, beside the sample it answers; the bytes are easily spoiled ones."""
    score_P = np.random.default_rng(0).uniform(-1, 1, 3000).astype(np.float32)
    sample = "".join(f"a{p}.jpg b{p}.jpg,0\n" for p in range(3000))
    (tmp_path / "sample.csv").write_text(f"ID,Label\n{sample}Ünï ⊕.jpg,0\n", encoding="utf-8")
    rows = "".join(f"a{p}.jpg b{p}.jpg,{s:.9g}\r\n" for p, s in enumerate(score_P))
    path = tmp_path / "mine.csv"
    path.write_bytes(f"ID,Label\r\n{rows}Ünï ⊕.jpg,7".encode())
    return path


def environment(home, proxy: str, **more: str) -> dict[str, str]:
    """This one without anything that could reach Kaggle; the client sees only the stub.

    KAGGLE_API_ENVIRONMENT=LOCALHOST is the client's own switch to http://localhost/api, and a
    proxy leads that to the stub's port.
    """
    kept = {
        name: value for name, value in os.environ.items()
        if not name.lower().startswith(OURS) and not name.lower().endswith("_proxy")
    }  # fmt: skip
    return kept | {
        "HOME": str(home), "OMP_NUM_THREADS": "1", "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "http_proxy": proxy, "https_proxy": NOWHERE, "no_proxy": "", "NO_PROXY": "",
    } | more  # fmt: skip


@pytest.fixture
def hand_in(csv, tmp_path):
    """Runs submit.py as a user does, in a home of its own; no secret may come out of it."""
    home = tmp_path / "home"
    home.mkdir()

    def run(proxy: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, "submit.py", str(csv), "--sample", str(csv.parent / "sample.csv"),
             "--competition", "stub-comp", *arguments],
            cwd=ROOT, env=environment(home, proxy, **env), capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        told = done.stdout + done.stderr
        assert "Traceback" not in told, told[-3000:]
        assert not [secret for secret in SECRETS if secret in told]
        return done

    run.home = home
    return run


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """Exit code 2, one last line with the words of the fix, nothing on standard output."""
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and done.stdout == "", done.stdout + done.stderr
    assert last.startswith("error: "), done.stderr
    assert not [word for word in words if word not in last], last


@pytest.mark.parametrize(
    "credentials, sent, source",
    [(BY_KEY, BASIC, "KAGGLE_USERNAME and KAGGLE_KEY"), (BY_TOKEN, BEARER, "KAGGLE_API_TOKEN")],
    ids=["key", "token"],
)
def test_the_bytes_arrive_and_the_reference_is_told(
    kaggle, csv, hand_in, credentials, sent, source
):
    done = hand_in(kaggle.url, "--message", "resnet50, arcface", **credentials)
    assert done.returncode == 0, done.stderr
    assert "Successfully submitted to Stub (ref 1000)" in done.stdout
    assert f"credentials from {source}" in done.stderr
    assert list(kaggle.uploads.values()) == [csv.read_bytes()]
    [start] = kaggle.named("StartSubmissionUpload")
    assert (start["contentLength"], start["fileName"]) == (csv.stat().st_size, "mine.csv")
    [body] = kaggle.taken
    assert body["competitionName"] == "stub-comp"
    assert body["submissionDescription"] == "resnet50, arcface"
    authorizations = {who for method, who, _ in kaggle.calls if method != "PUT"}
    assert authorizations == {sent}


@pytest.mark.parametrize(
    "file, content, source",
    [(".kaggle/access_token", f"{TOKEN}\n", "~/.kaggle/access_token"),
     (".kaggle/kaggle.json", json.dumps({"username": USER, "key": KEY}), "kaggle.json")],
)  # fmt: skip
def test_credentials_in_files(kaggle, hand_in, file, content, source):
    path = hand_in.home / file
    path.parent.mkdir()
    path.write_text(content)
    path.chmod(0o644)
    done = hand_in(kaggle.url)
    assert done.returncode == 0, done.stderr
    assert f"{source}\n" in done.stderr
    if path.suffix == ".json":
        assert "readable by other users" in done.stderr  # the client's warning is passed on


def test_json_stays_json_whatever_the_client_prints(kaggle, hand_in):
    kaggle.headers = {"X-Kaggle-ApiVersion": "99.0"}
    done = hand_in(kaggle.url, "--json", **BY_KEY)
    result = json.loads(done.stdout)
    assert (result["reference"], result["competition"]) == (1000, "stub-comp")
    assert "99.0" in done.stderr


FAULTS = {
    "rules not accepted": (
        "StartSubmissionUpload", refusal(403, "You must accept this competition's rules"),
        ("accept its rules at https://www.kaggle.com/competitions/stub-comp/rules",),
    ),
    "no such competition": (
        "StartSubmissionUpload", refusal(404, "Not found"), ("'stub-comp'", "--competition SLUG"),
    ),
    "daily limit": (
        "CreateSubmission",
        refusal(400, "Submission not allowed: Your team has used its daily Submission allowance "
                     "(5) today"),
        ("daily Submission allowance (5)", "00:00 UTC"),
    ),
    "another refusal": (
        "CreateSubmission", refusal(400, "The competition is closed.\nSorry."),
        ("The competition is closed. Sorry.", "competitions/stub-comp"),
    ),
    "key not accepted": (
        "StartSubmissionUpload", refusal(401, "Unauthenticated"),
        ("KAGGLE_USERNAME and KAGGLE_KEY", "https://www.kaggle.com/settings/api"),
    ),
    "too many requests": ("CreateSubmission", Fault(429, "slow"), ("429", "wait some minutes")),
    "fault with JSON": ("CreateSubmission", refusal(500, "Oh no"), ("Oh no", "/submissions")),
    "fault without JSON": ("StartSubmissionUpload", Fault(503, "<html>"), ("503", "wait some")),
    "a web page": (
        "StartSubmissionUpload", Fault(200, "<html>Sign in"), ("a web page", "in a browser"),
    ),
    "upload refused": ("PUT", Fault(403), ("Could not submit", "send it again")),
    "upload broken": ("PUT", Fault(503), ("Could not submit", "send it again")),
    "no reference": ("CreateSubmission", answer(message="Hm."), ("Hm.", "send it again")),
    "reference 0": ("CreateSubmission", answer(ref=0), ("no reference", "send it again")),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_is_one_line_that_says_what_to_do(fault, kaggle, hand_in):
    method, reply, words = FAULTS[fault]
    kaggle.faults[method] = reply
    refused(hand_in(kaggle.url, VERBOSE="1", **BY_KEY), *words)
    assert not kaggle.taken


def test_nobody_listens(hand_in):
    refused(hand_in(NOWHERE, **BY_KEY), "no connection to Kaggle", "https_proxy", "Internet on")
    refused(hand_in(NOWHERE, **BY_TOKEN), "no connection to Kaggle")


PLACES = ("KAGGLE_API_TOKEN", "~/.kaggle/access_token", "KAGGLE_USERNAME", "KAGGLE_KEY",
          "~/.kaggle/kaggle.json")  # fmt: skip


def test_without_credentials_the_places_for_them_are_named(kaggle, hand_in):
    refused(hand_in(kaggle.url), "no credentials", *PLACES)
    assert not kaggle.calls


@pytest.mark.parametrize("reply", [answer(active=False), refusal(403, "no"), refusal(401, "no")])
def test_a_token_that_is_not_accepted_is_named(kaggle, hand_in, reply):
    kaggle.faults["IntrospectToken"] = reply
    refused(hand_in(kaggle.url, VERBOSE="1", **BY_TOKEN), "not accept", "from KAGGLE_API_TOKEN")
    assert not kaggle.uploads


def test_a_bad_token_before_a_good_key_is_named(kaggle, hand_in):
    refused(hand_in(kaggle.url, **BY_KEY, KAGGLE_API_TOKEN="KGAT_old"), "from KAGGLE_API_TOKEN")


def test_credentials_with_a_stray_character_are_not_told(kaggle, hand_in):
    """http.client repeats the whole header in its message."""
    refused(hand_in(kaggle.url, KAGGLE_API_TOKEN=f"{TOKEN}\n"), "from KAGGLE_API_TOKEN", "paste")
    refused(hand_in(kaggle.url, KAGGLE_USERNAME=USER, KAGGLE_KEY=f"{KEY}…"),
            "from KAGGLE_USERNAME and KAGGLE_KEY", "paste")  # fmt: skip


def test_a_settings_folder_that_cannot_be_made(kaggle, csv, hand_in):
    refused(hand_in(kaggle.url, **BY_KEY, KAGGLE_CONFIG_DIR=f"{csv}/x"), "set KAGGLE_CONFIG_DIR")


@pytest.fixture
def absent(tmp_path):
    """A folder for PYTHONPATH: no kaggle, and no network for anyone."""
    (tmp_path / "absent" / "kaggle").mkdir(parents=True)
    (tmp_path / "absent" / "kaggle" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'six'\")\n"
    )
    (tmp_path / "absent" / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*_): raise RuntimeError('the network was used')\n"
        "socket.socket.connect = refuse\n"
    )
    return str(tmp_path / "absent")


def test_without_the_package_the_line_to_install_it_is_told(hand_in, absent):
    refused(hand_in(NOWHERE, PYTHONPATH=absent, **BY_KEY),
            "No module named 'six'", 'pip install --upgrade "kaggle>=1.8" six')  # fmt: skip


def test_a_dry_run_needs_neither_the_package_nor_a_network(hand_in, absent):
    done = hand_in(NOWHERE, "--dry-run", PYTHONPATH=absent)
    assert done.returncode == 0, done.stderr
    assert "dry run: nothing was sent" in done.stdout


def test_a_wrong_file_is_not_sent(kaggle, csv, hand_in):
    csv.write_text(csv.read_text(encoding="utf-8").replace("a7.jpg", "a8.jpg"), encoding="utf-8")
    done = hand_in(kaggle.url, **BY_KEY)
    assert done.returncode == 2 and "1 ids are missing" in done.stderr
    assert not kaggle.calls


@pytest.fixture
def in_process(kaggle, tmp_path, monkeypatch):
    """The client in this process, its address of Kaggle replaced by the stub's."""
    for name in list(os.environ):
        if name.lower().startswith(OURS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", NOWHERE)
    for name, value in BY_KEY.items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("kaggle")
    from kagglesdk import kaggle_env

    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, kaggle.url)
    return kaggle


def test_what_was_sent_is_returned_and_requests_is_left_as_it_was(in_process, csv, caplog):
    import requests

    caplog.set_level(logging.INFO)
    plain = requests.Session.send
    assert submit(csv, "stub-comp", "first") == client.Sent(1000, "Successfully submitted to Stub")
    assert submit(csv, "stub-comp", "second").ref == 1001
    assert requests.Session.send is plain
    in_process.faults["CreateSubmission"] = refusal(400, "no")
    with pytest.raises(UserError):
        submit(csv, "stub-comp", "third")
    assert requests.Session.send is plain
    assert not [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize("method", ["IntrospectToken", "StartSubmissionUpload", "PUT",
                                    "CreateSubmission"])  # fmt: skip
def test_a_silent_server_is_given_up(in_process, csv, monkeypatch, method):
    if method == "IntrospectToken":
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    in_process.faults[method] = Fault(hang=True)
    monkeypatch.setattr(client, "TIMEOUT", (1.0, 0.2))
    monkeypatch.setattr(client, "RETRIES", 1)
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        submit(csv, "stub-comp", "slow")
    assert time.monotonic() - start < 5
    assert "send it again" in str(error.value)
    if method == "PUT":
        assert "Read timed out" in str(error.value)  # what the client printed
    else:
        assert "within 0.2 s" in str(error.value) and "stub-comp/submissions" in str(error.value)


def test_a_dead_upload_host_is_given_up(in_process, csv):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        in_process.blob_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(UserError, match=r"Could not submit.*printed: .*refused.*send it again"):
        submit(csv, "stub-comp", "lost")
    assert time.monotonic() - start < 10
