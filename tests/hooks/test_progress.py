"""What a stage shows while it runs: on a terminal, in a notebook, and where there is neither."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

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
