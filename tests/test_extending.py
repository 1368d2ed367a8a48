"""Every example of docs/extending.md: two stages, killed in the second and continued."""

import json
import re
import signal
from pathlib import Path

import pytest
import torch

from starter.api import train
from starter.recipe import load
from starter.report import report
from tests.conftest import TINY
from tests.stages.test_resume import assert_equal, start, state, wait_for

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
# heading, file, its text, the recipe's part
ROWS = re.findall(
    r"^## (.+?)$.*?^```python\n# (\S+\.py)\n(.*?)^```.*?^```yaml\n(.*?)^```", PAGE, re.M | re.S
)


@pytest.fixture
def example(tmp_path, demo_root):
    """Writes an example beside a tiny recipe; gives train.py's arguments for a run, by its name."""

    def arguments(row, name):
        _, file, text, part = row
        (tmp_path / file).write_text(text)
        (tmp_path / "part.yaml").write_text(part)
        folder, demo = tmp_path.as_posix(), demo_root.as_posix()
        written = TINY.format(folder=folder, demo=demo)
        for stage in re.findall(r"^    (?:loss|mix|optimizer|schedule): .*\n", written, re.M):
            written = written.replace(stage, "")  # the example's own count in both stages
        written = written.replace("train:\n", "train:\n  loss: [{kind: softmax}]\n")
        (tmp_path / "tiny.yaml").write_text(written)
        return (
            str(tmp_path / "tiny.yaml"),
            str(tmp_path / "part.yaml"),
            f"name={name}",
            "train.checkpoint_steps=1",
            "stages.finetune.epochs=2",
        )

    return arguments


@pytest.fixture
def one_thread():
    """As the process that is killed has: sums of several threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train_here(recipe: str, *changes: str, **options) -> None:
    train(load(recipe, changes), **options)


def train_until_killed(command: tuple[str, ...], run: Path) -> None:
    """In a process of its own that is killed at the first checkpoint of the second stage."""
    process = start(*command)
    wait_for(run / "finetune" / "checkpoints" / "last.json", process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_an_example_killed_and_continued_is_the_uninterrupted_one(
    row, example, one_thread, tmp_path
):
    killed, whole = tmp_path / "runs" / "killed", tmp_path / "runs" / "whole"
    train_here(*example(row, "whole"))
    train_until_killed(example(row, "killed"), killed)
    train_here(*example(row, "killed"))
    assert_equal(state(killed), state(whole))


@pytest.mark.slow
def test_an_own_loss_has_its_curve_under_its_class_name(example, tmp_path):
    row = next(row for row in ROWS if row[0] == "A loss")
    train_here(*example(row, "shown"), stage="classify")
    run = tmp_path / "runs" / "shown"
    rows = [json.loads(line) for line in (run / "classify" / "metrics.jsonl").open()]
    assert all("Pull" in row and "softmax" in row for row in rows if row["kind"] == "interval")
    assert "Pull" in (run / "classify" / "stage.json").read_text()
    report(run)
    assert "Pull" in (run / "figures" / "loss.svg").read_text()


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_an_example_is_short(row):
    assert len([line for line in row[2].splitlines() if line.strip()]) <= 30
