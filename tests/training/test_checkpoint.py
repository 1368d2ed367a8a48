"""Checkpoints survive kills, full disks and damage."""

import errno
import os

import pytest
import torch

from starter import files
from starter.errors import UserError
from starter.runs.folder import StageFolder
from starter.training import checkpoint
from tests.runs.made import meta


def save(folder, step, best_step=None):
    weights = {"embedder.w": torch.full((3,), float(step))}
    resume = {"step": step}
    return checkpoint.save(folder, weights, meta("s", step), resume, best_step=best_step or step)


@pytest.fixture
def stage(tmp_path):
    return StageFolder(tmp_path)


def steps(stage):
    return sorted(p.name for p in stage.checkpoints.iterdir() if p.is_dir())


def test_pointers_name_whole_checkpoints_and_others_are_removed(stage):
    save(stage, 1)
    save(stage, 2, best_step=1)
    assert steps(stage) == ["1", "2"]
    save(stage, 3, best_step=3)
    assert steps(stage) == ["3"]
    assert checkpoint.find(stage, "last").resume() == {"step": 3}
    torch.testing.assert_close(
        checkpoint.find(stage, "best").weights()["embedder.w"], torch.full((3,), 3.0)
    )


@pytest.mark.parametrize("name", ["weights", "resume"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_damage_is_named(stage, name, harm):
    saved = save(stage, 5)
    path = getattr(saved.folder, name)
    content = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    else:
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content if harm == "flip" else content[:-7])
    found = checkpoint.find(stage, "last")
    read = getattr(found, name)
    with pytest.raises(UserError, match=f"{path.name}.*--fresh"):
        read()


def test_damaged_meta_is_named(stage):
    saved = save(stage, 5)
    saved.folder.meta.write_text("{")
    with pytest.raises(UserError, match=r"meta\.json is damaged"):
        checkpoint.find(stage, "last")


@pytest.mark.parametrize("where", ["weights", "resume", "meta", "rename", "best", "last"])
def test_a_full_disk_at_any_point_leaves_the_last_checkpoint(stage, monkeypatch, where):
    save(stage, 1)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*arguments, **options):
        raise full

    if where == "weights":
        monkeypatch.setattr("safetensors.torch.save_file", fail)
    elif where == "resume":
        monkeypatch.setattr(torch, "save", fail)
    elif where == "rename":
        monkeypatch.setattr(checkpoint.os, "replace", fail)
    else:
        plain = files.write_json

        def some(path, value):
            if path.name == f"{where}.json":
                raise full
            plain(path, value)

        monkeypatch.setattr(files, "write_json", some)
    with pytest.raises(UserError, match="disk is full"):
        save(stage, 2)
    monkeypatch.undo()
    last = checkpoint.find(stage, "last")
    assert last.step == 1
    assert last.resume() == {"step": 1}
    assert checkpoint.find(stage, "best").weights()


def test_a_real_full_disk(tmp_path):
    """A 1 MB file system, where this machine lets us make one."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
    )
    if made.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        stage = StageFolder(disk)
        save(stage, 1)
        big = {"embedder.w": torch.zeros(400_000)}
        for weights, resume in ((big, {}), ({"embedder.w": torch.zeros(3)}, {"a": big})):
            with pytest.raises(UserError, match="disk is full"):
                checkpoint.save(stage, weights, meta("s", 2), resume, best_step=2)
        assert checkpoint.find(stage, "last").resume() == {"step": 1}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_kill_between_the_pointers_is_mended_on_resume(stage):
    """best moved, last did not: resume points best back, and both steps are still there."""
    save(stage, 1)
    before = checkpoint.find(stage, "last")
    checkpoint.point_best(stage, 1)
    assert checkpoint.find(stage, "best").step == before.step == 1
