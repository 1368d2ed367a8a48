"""The ledger: whole whatever happens, and its statistics against scipy and numpy."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from starter.errors import UserError
from starter.submission import Entry, Ledger, trust
from tests.conftest import ROOT


def line(**values) -> Entry:
    needed = {"competition": "c", "ref": None, "sha256": "0", "status": "sending"}
    return Entry(**needed | {"file": "a.csv"} | values)


def test_lines_are_added_changed_and_taken_out(tmp_path):
    book = Ledger(tmp_path / "deep" / "submissions.jsonl")
    assert book.entries() == []
    first, second = book.add(line(local={"eer_interval": (0.1, 0.2)})), book.add(line(sha256="1"))
    assert book.entries() == [first, second]  # as they read back
    changed = book.change(first, ref=7, status="pending")
    assert book.entries() == [changed, second] and changed.ref == 7
    assert book.entries("c") == [changed, second] and book.entries("other") == []
    book.remove(second)
    assert book.entries() == [changed]
    assert len(book.path.read_text().splitlines()) == 1
    with pytest.raises(UserError, match="another process changed"):
        book.change(first, ref=8)


@pytest.mark.parametrize("text", ["{", "[1]", '{"ref": 1}', "3"])
def test_a_damaged_line_is_named_and_never_overwritten(tmp_path, text):
    book = Ledger(tmp_path / "l.jsonl")
    book.add(line())
    with open(book.path, "a") as file:
        file.write(text + "\n")
    before = book.path.read_bytes()
    for act in (book.entries, lambda: book.add(line())):
        with pytest.raises(UserError, match=r"l\.jsonl:2: damaged"):
            act()
    assert book.path.read_bytes() == before


def test_a_write_that_fails_leaves_the_ledger_as_it_was(tmp_path, monkeypatch):
    book = Ledger(tmp_path / "l.jsonl")
    book.add(line())
    before = book.path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        book.add(line(sha256="1"))
    assert book.path.read_bytes() == before


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from starter.submission import Entry, Ledger\n"
        "book = Ledger(Path(sys.argv[1]))\n"
        "for i in range(20):\n"
        "    one = book.add(Entry(competition=sys.argv[2], ref=None, sha256=str(i),\n"
        "                         status='sending'))\n"
        "    book.change(one, ref=i + 1)\n"
    )
    path = tmp_path / "l.jsonl"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT) for name in "ab"
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    lines = [(e["competition"], e["ref"]) for e in map(json.loads, path.read_text().splitlines())]
    assert sorted(lines) == [(name, i + 1) for name in "ab" for i in range(20)]


def scored(points, key="public") -> list[Entry]:
    return [line(ref=i, local={"combined": x}, **{key: y}) for i, (x, y) in enumerate(points)]


def test_correlation_interval_and_gap_equal_scipy():
    generator = np.random.default_rng(0)
    x = generator.uniform(0.8, 0.95, 9)
    y = x - 0.02 + generator.normal(0, 0.01, 9)
    compared = trust(scored(zip(x.tolist(), y.tolist(), strict=True)))
    oracle = stats.pearsonr(x, y)
    assert compared.correlation == pytest.approx(oracle.statistic, abs=1e-12)
    assert compared.interval == pytest.approx(tuple(oracle.confidence_interval(0.95)), abs=1e-6)
    assert compared.gap == pytest.approx((y - x).mean(), abs=1e-12)
    assert compared.gap_deviation == pytest.approx((y - x).std(ddof=1), abs=1e-12)


def test_percent_on_the_leaderboard_is_read_as_percent():
    points = [(0.9, 91.0), (0.8, 80.5), (0.7, 1.2)]  # 1.2 is 1.2 % beside the others
    compared = trust(scored(points))
    assert compared.percent and compared.points[2] == (0.7, 0.012)


def test_few_or_equal_points_have_no_correlation():
    assert trust([]) is None and trust([line(public=0.5)]) is None
    two = trust(scored([(0.9, 0.8), (0.8, 0.7)]))
    assert two.correlation is None and two.gap == pytest.approx(-0.1)
    flat = trust(scored([(0.9, 0.8), (0.9, 0.7), (0.9, 0.6)]))
    assert flat.correlation is None
    three = trust(scored([(0.9, 0.8), (0.8, 0.7), (0.7, 0.65)]))
    assert three.correlation > 0.9 and three.interval is None


def test_the_metric_is_the_one_that_most_have():
    entries = [
        line(ref=1, public=0.9, local={"accuracy": 0.8, "combined": None}),
        line(ref=2, public=0.9, local={"accuracy": 0.8, "combined": 0.9}),
    ]
    assert trust(entries).metric == "accuracy"
    assert trust(entries, "combined").points == [(0.9, 0.9)]
    assert trust(entries, "eer") is None and trust(entries, score="private") is None
