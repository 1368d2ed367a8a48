"""`python -m starter.kaggle download` with the real client against a Kaggle on 127.0.0.1."""

import io
import json
import subprocess
import sys
import time
import zipfile
from functools import partial

import numpy as np
import pytest

from starter.data import load_catalog
from starter.kaggle import client, download, unzip
from starter.kaggle.__main__ import main
from starter.recipe import load
from tests.conftest import ROOT
from tests.data.years import YEARS
from tests.kaggle.conftest import BY_KEY, BY_TOKEN, NOWHERE, environment, refused
from tests.kaggle.stub import BASIC, BEARER, TOKEN, Fault, refusal
from tests.kaggle.test_unzip import everything

RECIPE = """\
name: mine
data: {{layout: auto, root: {root}, image_size: 16}}
stages: {{classify: {{epochs: 1, loss: [{{kind: softmax}}]}}}}
submission: {{competition: stub-comp}}
"""


def zipped(folder, compression=zipfile.ZIP_STORED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as made:
        for path in sorted(folder.rglob("*")):
            made.write(path, path.relative_to(folder).as_posix())
    return held.getvalue()


@pytest.fixture
def data(tmp_path):
    """What the competition holds: the tree of a year, and more than the client reads at once."""
    YEARS["F26"](tmp_path / "theirs")
    noise = np.random.default_rng(0).integers(0, 256, 3 * MIB, dtype=np.uint8)
    (tmp_path / "theirs" / "README").write_bytes(noise.tobytes())
    return tmp_path / "theirs"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE.format(root=(tmp_path / "here").as_posix()))
    return str(path)


MIB = 2**20  # bytes that the client reads at once
COMMAND = ("-m", "starter.kaggle", "download")


@pytest.mark.parametrize(
    ("credentials", "sent"), [(BY_KEY, BASIC), (BY_TOKEN, BEARER)], ids=["key", "token"]
)
def test_the_data_lies_where_the_recipe_looks_and_is_fetched_once(
    kaggle, as_user, data, recipe, tmp_path, credentials, sent
):
    kaggle.files["stub-comp.zip"] = zipped(data, zipfile.ZIP_DEFLATED)
    done = as_user(kaggle.url, *COMMAND, recipe, **credentials)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "here"
    total = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    said = f"{place.as_posix()}: {len(everything(data))} files of stub-comp, "
    assert done.stdout.startswith(said) and f"inspect {recipe}\n" in done.stdout
    kept = {k: v for k, v in everything(place).items() if not k.startswith(".kaggle/")}
    assert kept == everything(data)
    assert [path.name for path in (place / ".kaggle").iterdir()] == ["stub-comp.tsv"]
    catalog = load_catalog(load(recipe).data)
    assert len(catalog.index("train")) == 6 and len(catalog.pairs["test"].a_P) == 2
    [(who, body)] = [(who, b) for method, who, b in kaggle.calls if method == "DownloadDataFiles"]
    assert who == sent and body == {"competitionName": "stub-comp"}
    again = as_user(NOWHERE, *COMMAND, recipe, "--json")  # neither a network nor credentials
    printed = json.loads(again.stdout)
    assert (printed["state"], printed["bytes"], printed["files"]) == (
        "there already",
        total,
        len(kept),
    )
    assert len(kaggle.gets) == 1


@pytest.fixture
def ask(in_process, run_here, monkeypatch, tmp_path, data):
    """The command in this process, without waits; files as `kaggle.files` has them."""
    from kaggle.api import kaggle_api_extended

    monkeypatch.setattr(kaggle_api_extended.time, "sleep", lambda _: None)
    in_process.files["stub-comp.zip"] = zipped(data)
    run = partial(run_here, lambda arguments: main(["download", *arguments]))
    run.to = ("stub-comp", "--to", str(tmp_path / "here"))
    return run


def whole(tmp_path, data) -> bool:
    files = everything(tmp_path / "here")
    return {k: v for k, v in files.items() if not k.startswith(".kaggle/")} == everything(data)


FAULTS = {  # method, its answer, exit code, parts of the message
    "rules not accepted": (
        "DownloadDataFiles",
        refusal(403, "You must accept this competition's rules"),
        5,
        "accept its rules at https://www.kaggle.com/competitions/stub-comp/rules | run the same",
    ),
    "no such competition": (
        "DownloadDataFiles",
        refusal(404, "Not found"),
        5,
        "'stub-comp' | last part of its",
    ),
    "not accepted": (
        "DownloadDataFiles",
        refusal(401, "Unauthenticated"),
        4,
        "credentials from KAGGLE_",
    ),
    "too many requests": (
        "DownloadDataFiles",
        Fault(429, "slow"),
        8,
        "429 | wait some minutes | the same command",
    ),
    "fault of the server": ("DownloadDataFiles", Fault(500, "<html>"), 8, "500 | wait some"),
    "fault of the store": ("GET", Fault(503, "<html>"), 8, "503 | wait some minutes"),
    "a web page": ("DownloadDataFiles", Fault(200, "<html>Sign in"), 8, "a web page | browser"),
    "a web page for the file": ("GET", Fault(200, "<html>Sign in"), 8, "a web page | browser"),
    "a silent server": ("DownloadDataFiles", Fault(hang=True), 8, "within 0.5 s | the same"),
    "a silent store": ("GET", Fault(hang=True), 8, "within 0.5 s | continues where it stopped"),
    "silent in the middle": ("GET", Fault(cut=300, hang=True), 8, "the same command"),
    "closed in the middle": ("GET", Fault(cut=300), 8, "the same command"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_is_one_line_and_the_next_call_ends_it(
    fault, in_process, ask, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(client, "TIMEOUT", (2.0, 0.5))
    method, reply, code, parts = FAULTS[fault]
    in_process.faults[method] = reply
    start = time.monotonic()
    refused(ask(*ask.to), code, *parts.split(" | "))
    assert time.monotonic() - start < 15
    in_process.faults.clear()
    done = ask(*ask.to)
    assert done.returncode == 0 and whole(tmp_path, data), done.stderr


def test_an_interrupted_download_goes_on(in_process, ask, data, tmp_path):
    in_process.faults["GET"] = [Fault(cut=2 * MIB + 9), Fault(500), Fault(500)]
    refused(ask(*ask.to), 8, "continues where it stopped")
    assert (tmp_path / "here/.kaggle/stub-comp.zip").stat().st_size == 2 * MIB
    in_process.gets.clear()
    assert ask(*ask.to).returncode == 0 and whole(tmp_path, data)
    assert in_process.gets == [None, f"bytes={2 * MIB}-"]


@pytest.mark.parametrize("how", ["changed", "without ranges"])
def test_what_cannot_be_gone_on_with_begins_anew(in_process, ask, data, tmp_path, how):
    in_process.ranges = how != "without ranges"
    in_process.faults["GET"] = [Fault(cut=2 * MIB + 9), Fault(500), Fault(500)]
    assert ask(*ask.to).returncode == 8
    (data / "more.txt").write_text("of the new version")
    in_process.files["stub-comp.zip"], in_process.version = zipped(data), '"v2"'
    done = ask(*ask.to)
    assert done.returncode == 0 and whole(tmp_path, data), done.stderr


def test_a_killed_command_goes_on(kaggle, data, tmp_path):
    kaggle.files["stub-comp.zip"] = zipped(data)
    kaggle.faults["GET"] = [Fault(cut=2 * MIB + 9, hang=True)]
    (tmp_path / "home").mkdir()
    command = [sys.executable, *COMMAND, "stub-comp", "--to", str(tmp_path / "here")]
    env = environment(tmp_path / "home", kaggle.url, **BY_KEY)
    archive = tmp_path / "here/.kaggle/stub-comp.zip"
    with subprocess.Popen(command, cwd=ROOT, env=env) as started:
        end = time.monotonic() + 30
        while time.monotonic() < end and not (archive.is_file() and archive.stat().st_size):
            time.sleep(0.05)
        started.kill()
    assert 0 < archive.stat().st_size < len(kaggle.files["stub-comp.zip"])
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and whole(tmp_path, data), done.stderr
    assert kaggle.gets[-1].startswith("bytes=")


def test_a_damaged_archive_is_removed_and_fetched_again(in_process, ask, data, tmp_path):
    good = in_process.files["stub-comp.zip"]
    bad = bytearray(good)
    bad[good.index(b"train_000004.jpg") + 60] ^= 255
    in_process.files["stub-comp.zip"] = bytes(bad)
    refused(ask(*ask.to), 8, "damaged and was removed", "Bad CRC-32", "run the same command")
    assert not list((tmp_path / "here/.kaggle").iterdir())
    in_process.files["stub-comp.zip"] = good
    assert ask(*ask.to).returncode == 0 and whole(tmp_path, data)


def test_a_file_that_is_lost_later_is_missed(in_process, ask, data, tmp_path):
    assert ask(*ask.to).returncode == 0
    next((tmp_path / "here").rglob("val_pairs.txt")).unlink()
    assert "downloaded; next" in ask(*ask.to).stdout and whole(tmp_path, data)
    assert "there already; next" in ask(*ask.to).stdout and len(in_process.gets) == 2
    assert "downloaded; next" in ask(*ask.to, "--force").stdout and len(in_process.gets) == 3


def test_an_archive_that_means_harm(in_process, ask, tmp_path):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        made.writestr("../../escaped.txt", "x")
    in_process.files["stub-comp.zip"] = held.getvalue()
    refused(ask(*ask.to), 2, "'../../escaped.txt' leads outside")
    assert not list(tmp_path.rglob("escaped.txt"))


def test_no_room_is_told_before_a_byte_is_fetched(in_process, ask, monkeypatch, tmp_path):
    usage = unzip.shutil.disk_usage(tmp_path)._replace(free=unzip.SPARE + 100)
    monkeypatch.setattr(unzip.shutil, "disk_usage", lambda _: usage)
    refused(ask(*ask.to), 2, "the archive takes", "make room", "--to DIR")
    assert not (tmp_path / "here/.kaggle/stub-comp.zip").exists()


def test_a_place_that_is_none(in_process, ask, tmp_path):
    (tmp_path / "here").write_text("a file")
    refused(ask(*ask.to), 2, "here is a file", "--to DIR")
    refused(ask("a/b"), 2, "'a/b' is neither a recipe (.yaml) nor a competition")
    refused(ask("stub-comp", "seed=1"), 2, "stub-comp is no recipe")
    assert not in_process.gets


@pytest.mark.parametrize(
    "target",
    [
        "stub-comp",
        "https://www.kaggle.com/competitions/stub-comp/data",
        "https://www.kaggle.com/c/stub-comp",
    ],
)
def test_a_competition_of_a_shipped_recipe_goes_to_its_data_root(
    in_process, ask, monkeypatch, tmp_path, target
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "ROOT", tmp_path)
    assert ask(target).stdout.startswith("data/stub-comp: ")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/mine.yaml").write_text(RECIPE.format(root="data/mine"))
    done = ask(target)
    assert done.stdout.startswith("data/mine: ") and "inspect configs/mine.yaml\n" in done.stdout
    assert "mine.yaml data.root=over\n" in ask(target, "--to", "over").stdout


def test_the_other_of_two_competitions_joins_the_first(in_process, ask, recipe, tmp_path):
    from tests.data.trees import write

    write(tmp_path / "faces/ver/x.jpg")
    in_process.files["other-comp.zip"] = zipped(tmp_path / "faces")
    assert ask(recipe).returncode == 0
    done = ask(recipe, "--competition", "other-comp")
    assert done.returncode == 0 and (tmp_path / "here/ver/x.jpg").is_file()
    assert "there already" in ask(recipe).stdout


def test_without_credentials_and_without_a_server(kaggle, as_user, recipe):
    refused(as_user(kaggle.url, *COMMAND, recipe), 4, "no credentials", "~/.kaggle/kaggle.json")
    refused(as_user(NOWHERE, *COMMAND, recipe, **BY_KEY), 8, "no connection to Kaggle")
    wrong = as_user(kaggle.url, *COMMAND, recipe, KAGGLE_API_TOKEN=TOKEN[:-1])
    refused(wrong, 4, "from KAGGLE_API_TOKEN")
    assert not kaggle.gets
