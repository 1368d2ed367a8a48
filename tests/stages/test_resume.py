"""A run that was killed and continued equals one that was not, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = int(os.environ.get("STARTER_KILLS", "3"))  # RESULTS.md reports a run with 20
TIMES = {"images_per_second", "data_wait", "peak_memory_gb"}


def start(recipe: Path, *changes: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "train.py", str(recipe), "train.checkpoint_steps=2", *changes],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def finish(recipe: Path, *changes: str) -> str:
    process = start(recipe, *changes)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def wait_for(path: Path, process: subprocess.Popen, *, ended: bool = False) -> None:
    """Until the file is there; fails at once when the process ends before (unless it may)."""
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        if process.poll() is not None:
            assert ended, process.communicate()[0]
            return
        time.sleep(0.01)
    if not path.exists():
        process.kill()
        pytest.fail(f"no {path} in 60 s: {process.communicate()[0]}")


def state(run: Path) -> dict:
    """Everything that must be equal: weights, optimizer, metrics without times, predictions."""
    found: dict = {}
    for stage in ("classify", "finetune"):
        folder = run / stage
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        found[stage, "metrics"] = [{k: v for k, v in r.items() if k not in TIMES} for r in rows]
        for pointer in ("last", "best"):
            step = json.loads((folder / "checkpoints" / f"{pointer}.json").read_text())["step"]
            place = folder / "checkpoints" / str(step)
            found[stage, pointer] = (step, (place / "weights.safetensors").read_bytes())
            if pointer == "last":
                resume = torch.load(place / "resume.pt", weights_only=True)
                resume["hooks"].pop("seconds")
                found[stage, "resume"] = resume
        with np.load(folder / "predictions" / "best.npz") as arrays:
            found[stage, "score"] = arrays["score_P"].tobytes()
    return found


def assert_equal(a, b, where=""):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


@pytest.fixture(scope="module")
def wanted(tmp_path_factory, demo_root):
    """The state of the uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = folder / "tiny.yaml"
    recipe.write_text(TINY.format(folder=folder.as_posix(), demo=demo_root.as_posix()))
    finish(recipe, "name=whole")
    return state(folder / "runs" / "whole")


@pytest.mark.slow
def test_killed_runs_end_like_an_uninterrupted_one(tiny_recipe, tmp_path, wanted):
    rng = random.Random(0)
    for attempt in range(KILLS):
        name, workers = f"killed{attempt}", attempt % 2
        changes = (f"name={name}", f"data.workers={workers}")
        process = start(tiny_recipe, *changes)
        metrics = tmp_path / "runs" / name / rng.choice(["classify", "finetune"]) / "metrics.jsonl"
        wait_for(metrics, process, ended=True)
        time.sleep(rng.random() * 0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        finish(tiny_recipe, *changes)
        assert_equal(state(tmp_path / "runs" / name), wanted)


@pytest.mark.slow
def test_sigterm_checkpoints_and_exits_with_its_own_code(tiny_recipe, tmp_path):
    changes = ("name=stopped", "stages.classify.epochs=500")
    process = start(tiny_recipe, *changes)
    last = tmp_path / "runs" / "stopped" / "classify" / "checkpoints" / "last.json"
    wait_for(last, process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3, out
    assert "SIGTERM" in out and "run the same command to continue" in out
    assert json.loads(last.read_text())["step"] >= 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_workers_of_a_killed_run_end(tiny_recipe, tmp_path):
    changes = ("name=orphans", "stages.classify.epochs=500", "data.workers=1")
    process = start(tiny_recipe, *changes, start_new_session=True)
    last = tmp_path / "runs" / "orphans" / "classify" / "checkpoints" / "last.json"
    wait_for(last, process)
    assert len(in_session(process.pid)) > 1
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while (left := in_session(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def in_session(session: int) -> list[int]:
    """Living processes of a session, by field 6 of /proc/PID/stat (zombies are not alive)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, theirs = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has just ended
            continue
        if int(theirs) == session and state != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("updates", [3, 10, 13])  # in an epoch, at a stage's end, in the second
def test_stopping_early_does_not_change_the_result(
    tiny_recipe, tmp_path, monkeypatch, wanted, updates
):
    """max_hours by a clock that the test drives: an hour an update."""
    from starter.api import train
    from starter.errors import Interrupted
    from starter.hooks import stop
    from starter.recipe import load

    asked = iter(range(10**6))
    monkeypatch.setattr(stop.time, "monotonic", lambda: 3600.0 * next(asked))
    recipe = load(tiny_recipe, ["name=budget", f"train.max_hours={updates}"])
    run = tmp_path / "runs" / "budget"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.raises(Interrupted, match=f"max_hours {updates} reached"):
            train(recipe)
        assert not (run / "finetune" / "predictions").exists()
        monkeypatch.undo()
        train(load(tiny_recipe, ["name=budget"]))
    finally:
        torch.set_num_threads(threads)
    assert_equal(state(run), wanted)


@pytest.mark.slow
def test_a_spent_budget_exits_with_code_3(tiny_recipe):
    process = start(tiny_recipe, "name=budget", "train.max_hours=1e-9")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 3 and "max_hours" in out


# What a stage comes to by it is best at the first evaluation, and never better.
CONSTANT = "def same(target_N, probability_NK):\n    return 0.5\n"


@pytest.mark.parametrize("length", ["epochs=50", "minutes=0.5"])
def test_patience_ends_a_stage_and_a_stop_on_the_way_does_not_change_when(
    tiny_recipe, tmp_path, monkeypatch, caplog, length
):
    """It is stopped in the third epoch, one evaluation before its end."""
    from starter.api import train
    from starter.errors import Interrupted
    from starter.hooks import Hooks
    from starter.recipe import load

    (tmp_path / "metric.py").write_text(CONSTANT)
    changes = [
        *("train.patience=2", f"train.monitor={tmp_path}/metric.py:same"),
        *(f"stages.classify.{length}", "train.gate=false"),
    ]
    caplog.set_level("INFO")
    ends, stopped = [], 0
    for name in ("whole", "stopped"):
        recipe = load(tiny_recipe, [*changes, f"name={name}"])
        if name == "stopped":
            asked = iter(range(100))  # once an update
            monkeypatch.setattr(
                Hooks, "stop", lambda self, asked=asked: "now" * (next(asked) == 11)
            )
            with pytest.raises(Interrupted):
                train(recipe, stage="classify")
            monkeypatch.undo()
            last = tmp_path / "runs" / name / "classify" / "checkpoints" / "last.json"
            stopped = json.loads(last.read_text())["step"]
        summary = train(recipe, stage="classify")
        assert summary.stages["classify"].epochs == 3  # the first is best, and two are no better
        folder = tmp_path / "runs" / name / "classify" / "checkpoints"
        last, best = (
            json.loads((folder / f"{n}.json").read_text())["step"] for n in ("last", "best")
        )
        assert last == 3 * best and stopped in (0, *range(2 * best, last))
        resume = torch.load(folder / str(last) / "resume.pt", weights_only=True)
        resume["hooks"].pop("seconds")
        ends.append(resume)
    if length.startswith("epochs"):
        assert ends[0]["waited"] == 2
        assert_equal(*ends)
    said = [r.getMessage() for r in caplog.records if "patience: no better" in r.getMessage()]
    assert len(said) == 2 and "ends after epoch 3 of" in said[0] and "epoch 1 was best" in said[0]
