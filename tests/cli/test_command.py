"""What every command answers: an exit code, and one line for a mistake of the user's."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from starter.cli import command, words
from starter.errors import Interrupted, UserError
from tests.conftest import ROOT


class OfKaggle(UserError):
    exit_code = 8


def deep(levels: int = 0) -> int:
    return deep(levels + 1)


def exits():
    raise SystemExit(3)


def raises(error: BaseException):
    def work():
        raise error

    return work


MISTAKES = {  # what the work does, the exit code, a part of the line
    "a user's": (raises(UserError("x.yaml:3: no")), 2, "error: x.yaml:3: no"),
    "of Kaggle's": (raises(OfKaggle("no connection")), 8, "error: no connection"),
    "no such file": (Path("/no/such").read_bytes, 2, "error: /no/such: No such file"),
    "a full disk": (raises(OSError(28, "No space left on device")), 2, "error: No space left"),
    "a NUL in a path": (Path("a\0b").read_bytes, 2, "error: a path contains a NUL"),
    "a long number": (lambda: int("1" * 5000), 2, "error: a number has more than"),
    "an unknown user": (lambda: Path("~nosuchuser").expanduser(), 2, "error: a path starts with ~"),
    "a long field": (lambda: list(csv.reader(["x" * 200_000])), 2, "error: a csv field is longer"),
    "deep nesting": (deep, 2, "error: the input is nested too deeply"),
    "stopped early": (raises(Interrupted("time limit")), 3, "time limit; run the same command"),
    "interrupted": (raises(KeyboardInterrupt()), 130, "interrupted; run the same command"),
    "another process": (exits, 3, ""),
    "none": (lambda: None, 0, ""),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_an_exit_code(case, capsys):
    work, code, line = MISTAKES[case]
    assert command.run(work) == code
    stderr = capsys.readouterr().err
    assert stderr.startswith(line) and len(stderr.splitlines()) == bool(line)
    assert "None" not in stderr


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("a bug"), OSError(5, "I/O")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        command.run(raises(error))


def test_of_several_processes_the_first_one_works(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert command.run(raises(UserError("not reached"))) == 0


def test_the_exit_code_is_noted_where_the_environment_asks(monkeypatch, tmp_path):
    monkeypatch.setenv(command.EXIT_CODE_FILE, str(tmp_path / "code"))
    command.run(raises(Interrupted("time limit")))
    assert (tmp_path / "code").read_text() == "3"


def test_a_closed_pipe_is_silent():
    code = (
        "import sys; from starter.cli import command\n"
        "sys.exit(command.run(lambda: print('x\\n' * 100_000)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        started.stdout.readline()
        started.stdout.close()
        assert started.stderr.read() == b"" and started.wait(60) == 0


@pytest.mark.parametrize(
    "module", ["data", "data.demo", "kaggle", "losses", "models", "report", "study"]
)
def test_every_room_s_command_goes_through_the_edge(module):
    text = (ROOT / "starter" / module.replace(".", os.sep) / "__main__.py").read_text()
    assert "return command.run(" in text


def test_numbers_and_tables(capsys):
    assert (words.percent(0.12345), words.percent(None)) == ("12.35 %", "-")
    assert (words.decimal(0.5, 2), words.decimal(None)) == ("0.50", "-")
    assert words.columns([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc   d"
    words.show({"a": 1}, str, True)
    words.show({"a": 1}, lambda result: f"a is {result['a']}", False)
    out = capsys.readouterr().out
    assert json.loads(out.rsplit("a is")[0]) == {"a": 1} and out.endswith("a is 1\n")


@pytest.mark.parametrize("code", [*range(9), *range(11, 32), 127, 128, 155, 159])
def test_what_a_terminal_would_obey_is_spelled(code, capsys):
    def work():
        raise UserError(f"a{chr(code)}b\tc\nd")

    assert command.run(work) == 2
    assert capsys.readouterr().err == f"error: a\\x{code:02x}b\tc\nd\n"


@pytest.mark.parametrize("closed", ["1>&-", "2>&-"])
def test_a_closed_stream_is_no_fault(closed):
    line = f"{sys.executable} train.py configs/demo.yaml --print-recipe {closed}"
    assert subprocess.run(line, shell=True, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
