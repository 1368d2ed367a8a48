"""`submit.py` and the real kaggle client against a Kaggle on 127.0.0.1, never the real one."""

import json
from hashlib import sha256

import pytest

from tests.kaggle.conftest import BY_KEY, BY_TOKEN, NOWHERE, lines_of, refused
from tests.kaggle.stub import BASIC, BEARER, KEY, TOKEN, USER, answer, refusal


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
    assert "stub-comp: taken (ref 1000)\npublic score 0.91234" in done.stdout
    assert "stub-comp: 10 of 10 left, resets 00:00 UTC" in done.stderr
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
    [
        (".kaggle/access_token", f"{TOKEN}\n", "~/.kaggle/access_token"),
        (".kaggle/kaggle.json", json.dumps({"username": USER, "key": KEY}), "kaggle.json"),
    ],
)
def test_credentials_in_files(kaggle, hand_in, file, content, source):
    path = hand_in.home / file
    path.parent.mkdir()
    path.write_text(content)
    path.chmod(0o644)
    done = hand_in(kaggle.url, "--no-wait")
    assert done.returncode == 0, done.stderr
    assert f"{source}\n" in done.stderr
    if path.suffix == ".json":
        assert "readable by other users" in done.stderr  # the client's warning is passed on


def test_json_stays_json_whatever_the_client_prints(kaggle, hand_in):
    kaggle.headers = {"X-Kaggle-ApiVersion": "99.0"}
    done = hand_in(kaggle.url, "--json", **BY_KEY)
    result = json.loads(done.stdout)
    assert (result["ref"], result["competition"], result["public"]) == (1000, "stub-comp", 0.91234)
    assert "99.0" in done.stderr


def test_nobody_listens(hand_in):
    refused(hand_in(NOWHERE, **BY_KEY), 8, "no connection to Kaggle", "https_proxy", "Internet on")
    refused(hand_in(NOWHERE, **BY_TOKEN), 8, "no connection to Kaggle")


PLACES = (
    "KAGGLE_API_TOKEN",
    "~/.kaggle/access_token",
    "KAGGLE_USERNAME",
    "KAGGLE_KEY",
    "~/.kaggle/kaggle.json",
)


def test_without_credentials_the_places_for_them_are_named(kaggle, hand_in):
    refused(hand_in(kaggle.url), 4, "no credentials", *PLACES)
    assert not kaggle.calls


@pytest.mark.parametrize("reply", [answer(active=False), refusal(403, "no"), refusal(401, "no")])
def test_a_token_that_is_not_accepted_is_named(kaggle, hand_in, reply):
    kaggle.faults["IntrospectToken"] = reply
    refused(hand_in(kaggle.url, VERBOSE="1", **BY_TOKEN), 4, "not accept", "from KAGGLE_API_TOKEN")
    assert not kaggle.uploads


def test_a_bad_token_before_a_good_key_is_named(kaggle, hand_in):
    refused(hand_in(kaggle.url, **BY_KEY, KAGGLE_API_TOKEN="KGAT_old"), 4, "from KAGGLE_API_TOKEN")


def test_credentials_with_a_stray_character_are_not_told(kaggle, hand_in):
    """http.client repeats the whole header in its message."""
    refused(hand_in(kaggle.url, KAGGLE_API_TOKEN=f"{TOKEN}\n"), 4, "from KAGGLE_API_TOKEN", "paste")
    refused(
        hand_in(kaggle.url, KAGGLE_USERNAME=USER, KAGGLE_KEY=f"{KEY}…"),
        4,
        "from KAGGLE_USERNAME and KAGGLE_KEY",
        "paste",
    )


def test_a_settings_folder_that_cannot_be_made(kaggle, csv, hand_in):
    refused(hand_in(kaggle.url, **BY_KEY, KAGGLE_CONFIG_DIR=f"{csv}/x"), 4, "set KAGGLE_CONFIG_DIR")


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
    refused(
        hand_in(NOWHERE, PYTHONPATH=absent, **BY_KEY),
        4,
        "No module named 'six'",
        'pip install --upgrade "kaggle>=2.2.5" six',
    )


def test_a_dry_run_needs_neither_the_package_nor_a_network(hand_in, absent):
    done = hand_in(NOWHERE, "--dry-run", PYTHONPATH=absent)
    assert done.returncode == 0, done.stderr
    assert "dry run: nothing was sent" in done.stdout


def test_a_wrong_file_is_not_sent(kaggle, csv, hand_in):
    csv.write_text(csv.read_text(encoding="utf-8").replace("a7.jpg", "a8.jpg"), encoding="utf-8")
    done = hand_in(kaggle.url, **BY_KEY)
    assert done.returncode == 2 and "1 ids are missing" in done.stderr
    assert not kaggle.calls


def test_the_whole_loop_of_a_run(kaggle, as_user, run_folder, credentials):
    """Both forms: message filled, score waited for, the ledger beside the run, then refused."""
    message = "{run} {stage}: {combined} acc {accuracy} EER {eer} at {commit}"
    done = as_user(kaggle.url, "submit.py", str(run_folder), "--message", message, **credentials)
    assert done.returncode == 0, done.stderr
    assert "public score 0.91234" in done.stdout
    assert kaggle.taken[0]["submissionDescription"] == (
        "mine classify: 0.8750 acc 80.00 % EER 5.00 % at 0123abcd"
    )
    [line] = lines_of(run_folder.parent / "submissions.jsonl")
    assert (line["run"], line["stage"], line["ref"]) == ("mine", "classify", 1000)
    assert line["sha256"] == sha256((run_folder / "submission.csv").read_bytes()).hexdigest()
    assert line["recipe"] == sha256((run_folder / "recipe.yaml").read_bytes()).hexdigest()
    assert line["commit"] == "0123abcdef+" and line["local"]["eer_interval"] == [0.04, 0.06]
    assert line["public"] == 0.91234 and line["private"] is None
    again = as_user(kaggle.url, "submit.py", str(run_folder), **credentials)
    refused(again, 7, "submitted before: ref 1000")
    book = ("--ledger", str(run_folder.parent / "submissions.jsonl"))
    lines = as_user(NOWHERE, "submit.py", "ledger", *book).stdout
    assert "0.8750" in lines and "0.91234" in lines and "gap +0.0373" in lines


def test_a_message_with_an_unknown_placeholder_is_refused(in_process, door, run_folder):
    refused(door(str(run_folder), "--message", "{acuracy}"), 2, "did you mean 'accuracy'?")
    assert not in_process.calls


def test_status_of_a_run_is_of_that_run_whatever_its_file_is_now(in_process, door, run_folder):
    assert door.file().returncode == 0
    assert door("status", str(run_folder)).stdout == "stub-comp: no submission\n"
    assert door(str(run_folder), "--no-wait", "--force").returncode == 0
    csv = run_folder / "submission.csv"
    csv.write_bytes(csv.read_bytes() + b"\r\n")
    lines = door("status", str(run_folder)).stdout
    assert "1001" in lines and "mine" in lines and "1000" not in lines
