"""A Kaggle on 127.0.0.1, a file to hand in, and `submit.py` as a user and as a caller runs it."""

import json
import os
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import submit
from starter.cli import logs
from starter.kaggle import client, competition
from starter.runs.records import Best, Step
from starter.runs.result import PairMetrics, Result, Submission, Thresholds
from tests.conftest import ROOT
from tests.kaggle.stub import KEY, SECRETS, TOKEN, USER, KaggleStub
from tests.runs.made import meta

BY_KEY = {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}
BY_TOKEN = {"KAGGLE_API_TOKEN": TOKEN}
CREDENTIALS = {"key": BY_KEY, "token": BY_TOKEN}
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
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(OURS) and not name.lower().endswith("_proxy")
    }
    return (
        kept
        | {
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": proxy,
            "https_proxy": NOWHERE,
            "no_proxy": "",
            "NO_PROXY": "",
        }
        | more
    )


@pytest.fixture
def as_user(tmp_path):
    """Runs a command as a user does, in a home of its own; no secret may come out of it."""
    home = tmp_path / "home"
    home.mkdir()

    def run(proxy: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment(home, proxy, **env),
            capture_output=True,
            text=True,
            timeout=60,
        )
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed, printed[-3000:]
        assert_no_secret(printed, tmp_path)
        return done

    run.home = home
    return run


@pytest.fixture
def hand_in(as_user, csv):
    """`submit.py` for the file `csv`."""

    def run(proxy: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
        return as_user(proxy, "submit.py", *handing_in(csv), *arguments, **env)

    run.home = as_user.home
    return run


def handing_in(csv) -> list[str]:
    folder = csv.parent
    return [
        str(csv),
        "--sample",
        str(folder / "sample.csv"),
        "--competition",
        "stub-comp",
        "--ledger",
        str(folder / "ledger.jsonl"),
    ]


def assert_no_secret(printed: str, folder) -> None:
    """Neither in what was printed nor in the ledger."""
    ledger = folder / "ledger.jsonl"
    printed += ledger.read_text() if ledger.is_file() else ""
    assert not [secret for secret in SECRETS if secret in printed]


def refused(done, code: int, *words: str) -> None:
    """The exit code, one last line with the words of the fix, nothing on standard output."""
    last = done.stderr.splitlines()[-1]
    assert done.returncode == code and done.stdout == "", done.stdout + done.stderr
    assert last.startswith("error: "), done.stderr
    assert not [word for word in words if word not in last], last


def lines_of(ledger) -> list[dict]:
    """The lines of a ledger."""
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


RECIPE = """\
name: mine
data: {root: ROOT}
stages: {classify: {epochs: 1, loss: [{kind: softmax}]}}
submission: {competition: stub-comp, sample: ROOT/sample.csv}
"""


@pytest.fixture
def run_folder(csv):
    """What train.py and verify.py leave of a run, without weights."""
    folder = csv.parent / "runs" / "mine"
    weights = "0" * 64
    checkpoint = folder / "classify" / "checkpoints" / "1"
    checkpoint.mkdir(parents=True)
    Step(step=1).write(checkpoint.parent / "best.json")
    meta(weights=weights).write(checkpoint / "meta.json")
    (folder / "recipe.yaml").write_text(RECIPE.replace("ROOT", csv.parent.as_posix()))
    (folder / "submission.csv").write_bytes(csv.read_bytes())
    (folder / "code.diff").write_text("+changed\n")
    (folder / "environment.json").write_text(json.dumps({"commit": "0123abcdef"}))
    Best(stage="classify").write(folder / "best.json")
    val = PairMetrics(
        accuracy=0.99,
        eer=0.05,
        eer_step=0.05,
        auc=0.99,
        tar_at_far={},
        thresholds=Thresholds(eer=0.5, accuracy=0.5),
        pairs=500,
        genuine=250,
        impostor=250,
        resolution="",
        intervals={"eer": (0.04, 0.06)},
    )
    Result(
        run=folder.as_posix(),
        stage="classify",
        weights=weights,
        tta=(),
        fusion=None,
        stages={},
        images=100,
        transductive=False,
        val=val,
        classes_from="class logits",
        dev_accuracy=0.8,
        dev_images=100,
        submission=Submission(
            csv=(folder / "submission.csv").as_posix(), rows=3001, sample=None, note=None
        ),
    ).write(folder / "verify" / "result.json")
    return folder


@pytest.fixture(params=list(CREDENTIALS))
def credentials(request):
    """Both forms, one after the other."""
    return CREDENTIALS[request.param]


@pytest.fixture
def in_process(kaggle, tmp_path, monkeypatch, credentials):
    """The client in this process, its address of Kaggle replaced by the stub's, in a hurry."""
    for name in list(os.environ):
        if name.lower().startswith(OURS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", NOWHERE)
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("kaggle")
    from kaggle import api
    from kagglesdk import kaggle_env

    monkeypatch.setattr(api, "config_values", {})
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, kaggle.url)
    monkeypatch.setattr(competition, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(competition, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(client, "TIMEOUT", (1.0, 5.0))
    return kaggle


@pytest.fixture
def run_here(in_process, capsys, monkeypatch, tmp_path):
    """Runs a command's `main` in this process; returns code, out, err."""
    monkeypatch.setattr(logs, "set_up_logging", lambda: None)

    def run(main, *arguments: str) -> SimpleNamespace:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        assert_no_secret(out + err, tmp_path)
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return run


@pytest.fixture
def door(run_here, csv):
    """`submit.py` in this process; see `hand_in`."""
    run = partial(run_here, submit.main)
    run.file = lambda *arguments: run(*handing_in(csv), *arguments)
    run.ledger = csv.parent / "ledger.jsonl"
    return run
