"""What a run notes of the code that it was made with."""

import shutil
import subprocess

import pytest

from starter.runs import provenance


def test_the_difference_to_the_commit_covers_the_whole_checkout(tmp_path, monkeypatch):
    if shutil.which("git") is None:
        pytest.skip("needs git")

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    names = ("train.py", "starter/models/resnet.py", "configs/a.yaml")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a = 1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    for name in names:
        (tmp_path / name).write_text("a = 2\n")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    difference = provenance.code_difference()
    assert all(f"+++ b/{name}" in difference for name in names)
