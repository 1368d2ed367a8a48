"""What a stage shows while it runs: on a terminal, in a notebook, and where there is neither.

And what is said of a stage that learns nothing; nothing is said of one that learns.
"""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from starter.hooks.progress import LossWatch, verdict
from tests.conftest import ROOT

LABELS = np.arange(200) % 10

SHOW = """
import logging, sys, time
from types import SimpleNamespace
from starter.cli import logs
from starter.hooks import progress
{before}
progress.LINE_SECONDS = 0
shown = progress.Progress(SimpleNamespace(name="classify"))
shown.begin(SimpleNamespace(steps=300, per_epoch=100, step=0))
for step in range(100, 301, 100):
    time.sleep(0.11)
    shown.row({{"kind": "interval", "step": step, "lr": 0.01, "softmax": 1.5}})
    logging.getLogger("starter.training").info("a line after %d", step)
shown.close()
"""


def script(before: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-c", SHOW.format(before=before)]


def test_without_a_terminal_a_line_says_how_much_time_is_left():
    done = subprocess.run(script("logs.set_up_logging()"), cwd=ROOT, capture_output=True, text=True)
    lines = [line.split("  ", 1)[1] for line in done.stderr.splitlines()]
    assert len(lines) == 6 and not done.stdout
    assert lines[0] == "classify 100/300  softmax 1.500  lr 0.01  0 s left"
    assert "\r" not in done.stderr and "tqdm" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a terminal of its own needs posix")
def test_on_a_terminal_a_bar_is_drawn_and_lines_stand_above_it():
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    done = subprocess.run(
        script("logs.set_up_logging()"), cwd=ROOT, stderr=theirs, stdout=subprocess.PIPE, text=True
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        told += part
    os.close(ours)
    text = told.decode()
    assert done.returncode == 0, text
    assert "classify:" in text and "/300" in text and "\r" in text
    for step in (100, 200, 300):  # each whole, at the start of its own line
        assert f"  a line after {step}\r\n" in text
    assert not text.split("\r")[-1].strip()  # the bar is gone at the end


def test_in_a_notebook_the_lines_come_whatever_logging_it_has():
    before = "\n".join(
        [
            "import types; sys.modules['ipykernel'] = types.ModuleType('ipykernel')",
            "logging.basicConfig(level=logging.ERROR)",
            "logs.notebook(); logs.notebook()",
        ]
    )
    done = subprocess.run(script(before), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for step in (100, 200, 300):
        assert done.stderr.count(f"a line after {step}\n") == 1
    assert "classify:" in done.stderr  # the bar


@pytest.mark.parametrize(
    ("predicted_M", "part"),
    [
        (np.full(200, 3), "given one class"),
        ((LABELS + 1) % 10, "0 of 200"),
        (np.where(np.arange(200) < 20, LABELS, (LABELS + 1) % 10), "20 of 200"),
        (np.where(np.arange(200) < 40, LABELS, (LABELS + 1) % 10), None),  # twice chance
        (LABELS, None),
    ],
)
def test_chance_and_one_class_for_everything_are_told(predicted_M, part):
    message = verdict(LABELS, predicted_M)
    assert message is None if part is None else part in message


def test_too_few_images_or_one_class_say_nothing():
    assert verdict(np.zeros(50, int), np.zeros(50, int)) is None
    assert verdict(np.arange(12) % 4, np.roll(np.arange(12) % 4, 1)) is None


def test_guessing_is_measured_by_the_commonest_class():
    label_M = np.where(np.arange(1000) < 900, 0, 1)
    assert verdict(label_M, np.where(np.arange(1000) < 910, 0, 1)) is None  # 99 % right
    predicted_M = np.zeros(1000, int)
    predicted_M[0] = 1
    assert "899 of 1000" in verdict(label_M, predicted_M)


@pytest.mark.parametrize(("step", "warnings"), [(100, 0), (199, 0), (200, 1), (400, 1)], ids=str)
def test_nothing_is_said_before_two_hundred_updates_and_then_once(step, warnings, caplog):
    catalog = SimpleNamespace(label_N=LABELS, index=lambda split: np.arange(200))
    section = SimpleNamespace(schedule=SimpleNamespace(warmup_epochs=1))
    watch = LossWatch(SimpleNamespace(name="s", section=section, catalog=catalog))
    state = SimpleNamespace(step=step, per_epoch=50)
    evaluation = SimpleNamespace(predicted_M=(LABELS + 1) % 10)
    for _ in range(2):
        watch.after_evaluation(state, evaluation)
    assert len(caplog.records) == warnings
