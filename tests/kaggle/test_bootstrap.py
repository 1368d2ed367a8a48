"""What runs on Kaggle, run here in folders like Kaggle's, with a kit that only takes notes."""

import json
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from starter.kaggle.push import pack, script

KIT = {
    "train.py": b"import sys, json, pathlib\n"
    b"out = pathlib.Path(sys.argv[2].split('=')[1]) / 'mine'\n"
    b"out.mkdir(parents=True, exist_ok=True)\n"
    b"(out / 'train.json').write_text(json.dumps(sys.argv[1:]))\n"
    b"sys.exit(int(pathlib.Path('code').read_text()))\n",
    "verify.py": b"import sys, json, pathlib\n"
    b"pathlib.Path(sys.argv[1], 'verify.json').write_text(json.dumps(sys.argv[1:]))\n",
    "recipe.yaml": b"name: mine\n",
    "code": b"0",
}


SETTINGS = {
    "name": "mine",
    "run": "runs/mine/recipe.yaml",
    "commit": None,
    "internet": False,
    "continue": False,
    "processes": 1,
    "demo": False,
    "sample": "sample.csv",
    "changes": ["train.max_hours=11.5"],
    "sources": ["stub-comp"],
}


@pytest.fixture
def machine(tmp_path):
    """Kaggle's folders, and the kernel run in them."""
    mounted = tmp_path / "input"
    (mounted / "stub-comp" / "deep").mkdir(parents=True)
    (mounted / "stub-comp" / "deep" / "sample.csv").write_text("id,label\n")

    def run(*, code=0, unpacked=False, wrong=False, first=b"", **changed):
        train = first + b"\n" + KIT["train.py"]
        archive, kit = pack(KIT | {"code": str(code).encode(), "train.py": train})
        place = mounted / "mine-kit"
        place.mkdir(exist_ok=True)
        (place / "kit.zip").write_bytes(archive)
        if unpacked:
            zipfile.ZipFile(place / "kit.zip").extractall(place / "kit")
            (place / "kit.zip").unlink()
        settings = SETTINGS | {
            "input": str(mounted),
            "working": str(tmp_path / "work"),
            "scratch": str(tmp_path / "scratch"),
            "needs": {"json": "json"},
        }
        text = script(settings | changed, "0" * 64 if wrong else kit)
        (tmp_path / "run.py").write_text(text)
        done = subprocess.run(
            [sys.executable, str(tmp_path / "run.py")], capture_output=True, text=True, timeout=60
        )
        state = json.loads((tmp_path / "work" / "status.json").read_text())["state"]
        return done, state

    run.folder = tmp_path / "work" / "runs" / "mine"
    run.input = mounted
    return run


@pytest.mark.parametrize("unpacked", [False, True])
def test_the_kernel_trains_and_verifies(machine, unpacked):
    done, state = machine(unpacked=unpacked)
    assert (done.returncode, state) == (0, "finished"), done.stderr
    recipe, runs, _cache, root, hours = json.loads((machine.folder / "train.json").read_text())
    assert recipe.endswith("recipe.yaml") and runs == f"runs={machine.folder.parent}"
    assert root == f"data.root={machine.input / 'stub-comp'}" and hours == "train.max_hours=11.5"
    place, sample = json.loads((machine.folder / "verify.json").read_text())
    assert Path(place) == machine.folder
    assert sample == f"submission.sample={machine.input / 'stub-comp' / 'deep' / 'sample.csv'}"


def test_the_kernel_stops_early_without_failing_and_fails_where_training_does(machine):
    done, state = machine(code=3)
    assert (done.returncode, state) == (0, "stopped early")
    assert not (machine.folder / "verify.json").exists()
    done, state = machine(code=2)
    assert (done.returncode, state) == (2, "failed")


def test_the_kernel_says_what_is_missing(machine):
    done, state = machine(wrong=True)
    assert done.returncode == 1 and "push again" in state
    done, state = machine(needs={"no_such_module": "nothing"})
    assert "lacks nothing and the internet is off" in done.stderr
    done, state = machine(sources=["other"])
    assert "no data at" in state and "stub-comp" in done.stderr
    done, state = machine(**{"continue": True})
    assert "no earlier output" in state
    assert "Traceback" not in done.stderr


def test_the_kernel_continues_an_attached_output(machine):
    before = machine.input / "mine-train" / "runs" / "mine"
    before.mkdir(parents=True)
    (before / "recipe.yaml").write_text("name: mine\n")
    (before / "kept").write_text("1")
    done, state = machine(**{"continue": True})
    assert state == "finished" and (machine.folder / "kept").read_text() == "1", done.stderr


def test_an_early_stop_is_known_though_torchrun_answers_1(machine):
    note = b"import os, pathlib; pathlib.Path(os.environ['STARTER_EXIT_CODE_FILE']).write_text('3')"
    done, state = machine(code=1, first=note)
    assert (done.returncode, state) == (0, "stopped early")
    done, state = machine(code=1)  # killed before it could note anything
    assert (done.returncode, state) == (1, "failed")


def test_two_processes_go_through_torchrun(tmp_path, monkeypatch):
    (tmp_path / "run.py").write_text(script(SETTINGS | {"processes": 2}, "0"))
    made = runpy.run_path(str(tmp_path / "run.py"))
    command = made["train_command"](Path("recipe.yaml"), ["a=1"])
    assert command[1:] == [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "train.py",
        "recipe.yaml",
        "a=1",
    ]
