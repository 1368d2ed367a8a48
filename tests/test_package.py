"""The hand-in zip: whole, enough to train the same weights again, without secrets or data."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from starter.api import train, verify
from starter.errors import UserError
from starter.package import package
from starter.recipe import load
from starter.submission.code_files import code_files, own_files, secrets_in
from tests.conftest import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory, demo_root):
    """A run of one short stage, verified."""
    folder = tmp_path_factory.mktemp("packed")
    recipe = folder / "tiny.yaml"
    text = TINY.format(folder=folder.as_posix(), demo=demo_root.as_posix())
    recipe.write_text(text.split("  finetune:")[0] + text[text.index("verify:") :])
    train(load(recipe, ["stages.classify.epochs=1"]))
    verify(folder / "runs" / "tiny")
    return folder / "runs" / "tiny"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))


def test_what_is_in_the_zip_trains_the_same_weights(run, tmp_path):
    packed = package(run, out=tmp_path / "mine.zip")
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        assert len(archive.namelist()) == packed["files"]
        archive.extractall(tmp_path)
    root = tmp_path / "tiny"
    assert (root / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()
    metrics = (root / "metrics" / "classify.jsonl").read_bytes()
    assert metrics == (run / "classify" / "metrics.jsonl").read_bytes()
    import torch

    done = subprocess.run(
        [sys.executable, "train.py", "../recipe.yaml", f"runs={tmp_path}/again"],
        cwd=root / "code",
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == 0, done.stderr
    again = tmp_path / "again" / "tiny" / "classify" / "checkpoints"
    step = json.loads((again / "best.json").read_text())["step"]
    meta = json.loads((again / str(step) / "meta.json").read_text())
    model = json.loads((root / "model.json").read_text())
    assert meta["weights_sha256"] == model["weights_sha256"]


def test_the_model_is_counted_and_printed(run, tmp_path):
    packed = package(run, out=tmp_path / "mine.zip")
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        model = json.loads(archive.read("tiny/model.json"))
        printed = archive.read("tiny/model.txt").decode()
        readme = archive.read("tiny/README.md").decode()
    summary = json.loads((run / "summary.json").read_text())["stages"]["classify"]
    assert packed["trainable_parameters"] == summary["parameters"]
    assert model["trainable_parameters"] == sum(model["parameters_of"].values())
    assert printed.count("Conv2d(") > 5 and "(neck)" in printed
    assert f"{summary['parameters']:,}" in readme and "EER of the pairs, validation" in readme
    before = (tmp_path / "mine.zip").read_bytes()
    package(run, out=tmp_path / "mine.zip")
    assert (tmp_path / "mine.zip").read_bytes() == before


@pytest.mark.parametrize("place", ["recipe.yaml", "code.diff", "classify/metrics.jsonl"])
def test_a_secret_is_refused_by_its_place(run, tmp_path, monkeypatch, place):
    monkeypatch.setenv("KAGGLE_KEY", "plain-words-as-a-key")
    path = run / place
    before = path.read_bytes()
    path.write_bytes(before + b"# plain-words-as-a-key\n")
    try:
        with pytest.raises(UserError, match=r"(recipe.yaml|code.diff|classify.jsonl):\d+") as error:
            package(run, out=tmp_path / "mine.zip")
    finally:
        path.write_bytes(before)
    assert "plain-words" not in str(error.value)
    assert not list(tmp_path.glob("*mine*"))


SECRET = [
    "KGAT_0123456789abcdef",
    '{"username":"a","key":"0123456789abcdef0123456789abcdef"}',
    "os.environ['KAGGLE_KEY'] = '0123456789abcdef0123'",
    "-----BEGIN RSA PRIVATE KEY-----",
    "export WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567",
    "token = 'hf_" + "a1" * 17 + "'",
    "AKIAABCDEFGHIJKLMNOP",
    "ghp_" + "a1" * 18,
]
PLAIN = [
    "token = access_token_from_env()",
    'key: str = "combined"',
    "sha256: " + "0" * 64,
    "the key of the first",
    '"weights": "0123456789abcdef0123456789abcdef"',
]


@pytest.mark.parametrize("text", SECRET)
def test_shapes_of_secrets_are_known(text):
    assert list(secrets_in("a.py", f"x = 1\n{text}\n".encode(), set())) == ["a.py:2"]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_is_no_secret(text):
    assert not list(secrets_in("a.py", text.encode(), set()))


@pytest.mark.parametrize("name", ["kaggle.json", "x/.env", "a/id_rsa", "cert.pem"])
def test_files_of_credentials_are_known_by_name(name):
    assert list(secrets_in(name, b"", set()))


def test_data_among_the_code_is_refused(tmp_path):
    (tmp_path / "starter").mkdir()
    for name in ("train.py", "starter/a.py", "starter/notes.md"):
        (tmp_path / name).write_text("a = 1\n")
    assert set(code_files(tmp_path)) == {"train.py", "starter/a.py", "starter/notes.md"}
    (tmp_path / "starter" / "face.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(UserError, match=r"starter/face\.jpg"):
        code_files(tmp_path)


def test_a_network_of_ones_own_goes_along(tmp_path, monkeypatch, tiny_recipe):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text("class Mine: ...\n")
    recipe = load(tiny_recipe, [])
    assert own_files(recipe) == {}
    own = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"backbone": "nets/mine.py:Mine"})}
    )
    assert own_files(own) == {"nets/mine.py": b"class Mine: ...\n"}
    (tmp_path / "nets" / "mine.py").unlink()
    with pytest.raises(UserError, match="there is no file"):
        own_files(own)


def test_a_stale_submission_is_not_packed(run, tmp_path):
    path = run / "verify" / "result.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"weights": "0" * 64}))
    try:
        with pytest.raises(UserError, match="is of other weights"):
            package(run, out=tmp_path / "mine.zip")
    finally:
        path.write_text(before)
    with pytest.raises(UserError, match=r"give the name of a \.zip file"):
        package(run, out=tmp_path)
