"""Benchmarks' commands in their smallest form: what they say, and in what form."""

import json

import pytest

from benchmarks import inspect, scale, train, verify


def tables(capsys) -> list[dict]:
    """What was printed with --json: a line a table."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_train_compares_its_own_step_with_the_others(capsys):
    small = ["configs/smoke.yaml", "train.batch_size=8", "--steps", "2", "--rounds", "1"]
    assert train.main([*small, "--workers", "0", "--json"]) == 0
    (table,) = tables(capsys)
    rates = {rate["name"]: rate for rate in table["rates"]}
    assert table["stage"] == "classify" and table["batch"] == 8 and table["size"] == 16
    assert set(rates) == {"train.py, end to end", train.BARE, "timm's loop", "course style"}
    for rate in rates.values():
        assert rate["ratio"] == pytest.approx(rate["median"] / rates[train.BARE]["median"])


def test_the_kit_s_step_is_training_and_counts_its_images(tmp_path):
    """Every weight moves in a stretch of it."""
    import contextlib

    options = train.parse(["configs/smoke.yaml", "train.batch_size=8", "--steps", "3"])
    with contextlib.ExitStack() as stack:
        bench = train.Bench(options, tmp_path, stack)
        state = bench.state.learner.state_dict()
        before = {name: value.clone() for name, value in state.items()}
        assert bench.kit()() == 24
        trained = [name for name in before if name.endswith("weight")]
        assert trained and all(not before[name].equal(state[name]) for name in trained)
        assert bench.bare()() == 24


def test_verify_measures_scoring_and_metrics(capsys):
    small = ["--images", "50", "--embedding", "8", "--pairs", "500", "--labelled", "60"]
    assert verify.main([*small, "--rounds", "1", "--json"]) == 0
    scoring, measuring = tables(capsys)
    assert [len(table["rates"]) for table in (scoring, measuring)] == [4, 3]
    assert all(rate["median"] > 0 for rate in scoring["rates"] + measuring["rates"])


def test_scale_fits_the_exponent():
    rows = [{"size": float(size), "seconds": 3e-6 * size**1.5} for size in (10, 100, 1000)]
    assert scale.exponent(rows) == pytest.approx(1.5)


@pytest.mark.slow
def test_scale_measures_each_size_in_a_process_of_its_own(capsys):
    assert scale.main(["pairs", "--most", "10000", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    (row,) = table["pairs"]["rows"]
    assert row["size"] == 10_000 and row["seconds"] > 0 and table["pairs"]["exponent"] is None
    assert scale.main(["images?"]) == 2
    assert "there is images, pairs, classes" in capsys.readouterr().err


@pytest.mark.slow
def test_inspect_measures_a_tree_that_it_draws(tmp_path, capsys):
    assert inspect.main(["--folder", str(tmp_path / "many"), "--files", "300"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["images"] == 300 and table["undecodable"] == 0 and table["seconds"] > 0
