"""Every example of docs/extending.md: two stages, killed in the second and continued."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from starter.api import train
from starter.recipe import load
from starter.report import report
from tests.conftest import TINY
from tests.stages.test_resume import assert_equal, state

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
# heading, file, its text, the recipe's part
ROWS = re.findall(
    r"^## (.+?)$.*?^```python\n# (\S+\.py)\n(.*?)^```.*?^```yaml\n(.*?)^```", PAGE, re.M | re.S
)


@pytest.fixture
def example(tmp_path, demo_root):
    """Writes an example beside a tiny recipe; gives the recipe of a run, by its name."""

    def recipe(row, name):
        _, file, text, part = row
        (tmp_path / file).write_text(text)
        (tmp_path / "part.yaml").write_text(part)
        folder, demo = tmp_path.as_posix(), demo_root.as_posix()
        written = TINY.format(folder=folder, demo=demo)
        for stage in re.findall(r"^    (?:loss|mix|optimizer|schedule): .*\n", written, re.M):
            written = written.replace(stage, "")  # the example's own count in both stages
        written = written.replace("train:\n", "train:\n  loss: [{kind: softmax}]\n")
        (tmp_path / "tiny.yaml").write_text(written)
        return load(
            tmp_path / "tiny.yaml",
            [
                str(tmp_path / "part.yaml"),
                f"name={name}",
                "train.checkpoint_steps=1",
                "stages.finetune.epochs=2",
            ],
        )

    return recipe


def train_until_killed(recipe) -> None:
    """In a process that is killed at the first checkpoint of the second stage."""
    pointer = Path(recipe.runs) / recipe.name / "finetune" / "checkpoints" / "last.json"
    child = os.fork()
    if child == 0:

        def kill():
            while not pointer.exists():
                time.sleep(0.002)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        try:
            train(recipe)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process that is killed is a fork")
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_an_example_killed_and_continued_is_the_uninterrupted_one(row, example, tmp_path):
    train(example(row, "whole"))
    train_until_killed(example(row, "killed"))
    train(example(row, "killed"))
    assert_equal(state(tmp_path / "runs" / "killed"), state(tmp_path / "runs" / "whole"))


@pytest.mark.slow
def test_an_own_loss_has_its_curve_under_its_class_name(example, tmp_path):
    row = next(row for row in ROWS if row[0] == "A loss")
    train(example(row, "shown"), stage="classify")
    run = tmp_path / "runs" / "shown"
    rows = [json.loads(line) for line in (run / "classify" / "metrics.jsonl").open()]
    assert all("Pull" in row and "softmax" in row for row in rows if row["kind"] == "interval")
    assert "Pull" in (run / "classify" / "stage.json").read_text()
    report(run)
    assert "Pull" in (run / "figures" / "loss.svg").read_text()


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_an_example_is_short(row):
    assert len([line for line in row[2].splitlines() if line.strip()]) <= 30
