"""Two processes are the same run as one: same losses, same weights, same evaluation, one end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from starter.api import train
from starter.errors import Interrupted, UserError
from starter.hooks import stop
from starter.recipe import load
from starter.recipe.schema import LossTerm
from starter.recipe.schema.train import StageSection, refuse_uneven
from tests.conftest import TINY
from tests.stages import one_of_two
from tests.stages.test_resume import TIMES

ROOT = Path(__file__).resolve().parent.parent.parent
TOLERANCE = 1e-5  # relative, of a loss: float32 sums in another order, over 20 updates

NET = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 8, 3, stride=2)
        self.last = nn.Linear(392, 16)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        return self.last(self.conv(x).tanh().flatten(1))
"""
PLAIN = """\
name: plain
seed: 1
runs: {folder}/runs
data: {{root: {demo}, cache: {folder}/cache, image_size: 16, workers: 0}}
augment: [{{kind: HorizontalFlip, p: 0.5}}, {{kind: Affine, rotate: [-10, 10], p: 0.5}}]
model: {{backbone: "{folder}/net.py:Net", embedding: 16, neck: identity}}
train: {{batch_size: 16, precision: fp32, ema: 0.9, clip_grad: 1.0}}
stages:
  classify: {{epochs: 3, loss: [{{kind: softmax}}], micro_batch: 4}}
  finetune:
    init: classify
    epochs: 2
    loss: [{{kind: curricularface}}, {{kind: center, weight: 0.1}}]
    freeze: {{backbone: 1}}
    agc: 0.1
    optimizer: {{kind: sgd, lr: 0.01}}
"""


def environment(rank: int, port: int) -> dict[str, str]:
    """What torchrun gives a process."""
    given = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": 1,
    }
    return os.environ | {name: str(value) for name, value in given.items()}


def start_two(*command: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment(rank, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]


def run_two(phase: str, folder: Path) -> list[dict]:
    two = start_two("-m", "tests.stages.one_of_two", phase, str(folder))
    told = [process.communicate(timeout=200)[0] for process in two]
    assert [process.returncode for process in two] == [0, 0], "\n".join(told)
    return [json.loads((folder / f"{phase}-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, demo_root):
    place = tmp_path_factory.mktemp("two")
    (place / "net.py").write_text(NET)
    for name, text in (("plain", PLAIN), ("tiny", TINY)):
        filled = text.format(folder=place.as_posix(), demo=demo_root.as_posix())
        (place / f"{name}.yaml").write_text(filled)
    return place


@pytest.fixture(scope="module")
def runs(folder):
    """Two processes until one wants to stop, then one, then two: and one all the way."""
    reason, threads = stop.Stopper.reason, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        begun = run_two("begin", folder)
        one_of_two.stop_after(14)
        with pytest.raises(Interrupted) as told:
            train(load(folder / "plain.yaml", []))
        stop.Stopper.reason = reason
        train(load(folder / "plain.yaml", ["name=whole"]))
        ended = run_two("end", folder)
    finally:
        stop.Stopper.reason = reason
        torch.set_num_threads(threads)
    return begun, str(told.value), ended


@pytest.mark.slow
def test_processes_agree(runs):
    begun, second_stop, _ = runs
    for found in begun:
        assert found["agreed"] == [None, "enough"] and found["main_does"] == 0
        assert found["embedded"] == [[[i, -i] for i in range(7)], [[0, 0]]]
        assert "needs GPUs" in found["sync_batchnorm"]
        assert found["alone"] == [1, 2]
        assert found["stopped"] == "enough: stopped after update 5 of 15"
    assert second_stop == "enough: stopped after update 2 of 10"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["classify", "finetune"])
def test_losses_and_weights_are_those_of_one_process_also_when_continued_by_two_one_two(
    runs, folder, stage
):
    together, alone = (folder / "runs" / name / stage for name in ("plain", "whole"))
    rows = [
        [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        for place in (together, alone)
    ]
    assert len(rows[0]) == len(rows[1]) >= 2
    for ours, theirs in zip(*rows, strict=True):
        for key in set(theirs) - {"kind", *TIMES}:
            assert ours[key] == pytest.approx(theirs[key], rel=TOLERANCE), key
    weights = [load_file(last(place) / "weights.safetensors") for place in (together, alone)]
    for name, value in weights[1].items():
        torch.testing.assert_close(weights[0][name], value, rtol=1e-4, atol=1e-5, msg=name)
    metas = [json.loads((last(place) / "meta.json").read_text()) for place in (together, alone)]
    assert metas[0]["images"] == metas[1]["images"]
    scores = [np.load(place / "predictions" / "best.npz")["score_P"] for place in (together, alone)]
    np.testing.assert_allclose(*scores, atol=1e-5)


@pytest.mark.slow
def test_an_ordinary_run_keeps_all_processes_equal(runs, folder):
    """BatchNorm, stochastic depth, mixup, mining, averaged weights, a length by the clock."""
    *_, (first, second) = runs
    assert len(set(first["hashes"])) == len(first["hashes"]) >= 6
    assert first["hashes"] == second["hashes"]
    assert first["summary"] == second["summary"]
    assert json.loads((folder / "runs/tiny/environment.json").read_text())["processes"] == 2
    assert set(first["summary"]["stages"]) == {"classify", "finetune"}


def last(stage: Path) -> Path:
    step = json.loads((stage / "checkpoints" / "last.json").read_text())["step"]
    return stage / "checkpoints" / str(step)


@pytest.mark.slow
def test_torchrun_ends_with_one_line_where_one_process_fails(tiny_recipe, tmp_path):
    """Process 0 packs, and cannot; process 1 waits for it."""
    note = tmp_path / "code"
    (tmp_path / "cache").write_text("not a folder")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            "train.py",
            str(tiny_recipe),
        ],
        cwd=ROOT,
        env=os.environ | {"STARTER_EXIT_CODE_FILE": str(note)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and note.read_text() == "2", done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "data.cache" in line
    assert "gloo" not in done.stderr and "starter/" not in done.stderr.partition("error:")[2]


@pytest.mark.slow
def test_a_killed_process_ends_the_others(tiny_recipe, tmp_path):
    two = start_two("train.py", str(tiny_recipe), "stages.classify.epochs=500")
    pointer = tmp_path / "runs" / "tiny" / "classify" / "checkpoints" / "last.json"
    deadline = time.monotonic() + 60
    while not pointer.exists() and time.monotonic() < deadline and two[0].poll() is None:
        time.sleep(0.05)
    two[1].send_signal(signal.SIGKILL)
    told, _ = two[0].communicate(timeout=60)
    two[1].communicate()
    assert two[0].returncode == 2 and "Traceback" not in told, told
    [line] = [line for line in told.splitlines() if line.startswith("error:")]
    assert "ended without a word" in line


DIES = """\
import os
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.conv, self.calls = nn.Conv2d(in_channels, 16, 3, stride=2), 0

    def forward(self, x):
        self.calls += self.training
        mark = Path(__file__).with_name("died")
        if self.calls == 8 and os.environ["RANK"] == "1" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        return self.conv(x).tanh()
"""


@pytest.mark.slow
def test_torchrun_starts_a_run_again_whose_process_was_killed(tiny_recipe, tmp_path):
    (tmp_path / "net.py").write_text(DIES)
    changes = [f"model.backbone={tmp_path}/net.py:Net", "stages.classify.epochs=3"]
    options = ["--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    arguments = ["train.py", str(tiny_recipe), *changes, "model.drop_path=0", "--stage", "classify"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and (tmp_path / "died").exists(), done.stderr
    assert "classify: continues after update 5 of 15" in done.stderr
    assert "FutureWarning" not in done.stderr and "find_unused" not in done.stderr


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"batch_size": 33}, "2 processes cannot share 33.*=32"),
        ({"batch_size": 2}, "leaves 1 image"),
        ({"batch_size": 12, "sampler": {"kind": "pk", "images": 4}}, "identities of 4 .*=16"),
        ({"batch_size": 12, "micro_batch": 4}, "not a multiple of micro_batch 4; set .*=2 "),
    ],
)
def test_a_batch_that_two_cannot_share_is_refused(section, message):
    whole = StageSection.model_validate({"loss": [LossTerm(kind="softmax")]} | section)
    with pytest.raises(UserError, match=message):
        refuse_uneven("classify", whole, 2)
    refuse_uneven("classify", whole, 1)
