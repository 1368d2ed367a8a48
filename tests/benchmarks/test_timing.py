"""Rates and ratios from known times; the loaders' benchmark from end to end on a few images."""

import json

import pytest

from benchmarks import loader, timing


@pytest.fixture
def clock(monkeypatch):
    """time.perf_counter that only `spend` moves."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def spend(seconds: float) -> None:
        now[0] += seconds

    return spend


def test_medians_and_ratios_of_a_round(clock):
    """A machine that is half as fast in one round changes no ratio."""
    speed = iter([9.0, 1.0, 2.0, 1.0])  # of the warm-up and three rounds
    order = []

    def slow() -> int:
        order.append("slow")
        slow.factor = next(speed)
        clock(1.0 * slow.factor)
        return 10

    def quick() -> int:
        order.append("quick")
        clock(0.25 * slow.factor)
        return 10

    rates = timing.interleaved({"slow": slow, "quick": quick}, 3, {"quick": "slow"})
    assert order == ["slow", "quick"] * 4
    assert rates[0] == timing.Rate("slow", 10.0, 5.0, 10.0)
    assert rates[1] == timing.Rate("quick", 40.0, 20.0, 40.0, "slow", 4.0)


def test_table_and_json():
    rates = [timing.Rate("a", 1000.4, 900, 1100), timing.Rate("b", 5, 4, 6, "a", 0.005)]
    table = timing.show("Things", "things/s", rates, {"device": "CPU"}, False)
    assert "| a | 1,000 (900 to 1,100) |  |  |" in table and "Things (device CPU)" in table
    record = json.loads(timing.show("Things", "things/s", rates, {"device": "CPU"}, True))
    assert record["device"] == "CPU" and record["rates"][1]["ratio"] == 0.005


def test_the_loaders_deliver_every_image(capsys):
    small = ["--images", "64", "--size", "16", "--batch", "16", "--workers", "0", "--rounds", "1"]
    assert loader.main([*small, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["images"] == 64 and len(record["rates"]) == 7
    assert all(rate["median"] > 0 for rate in record["rates"])
