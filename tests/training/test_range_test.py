"""--find-lr: what it suggests, and that the stage does not notice."""

import csv
import json

import numpy as np
import pytest
import torch

from starter.data.batches import Batch
from starter.stages.find_lr import range_test, smoothed, suggest
from starter.train_stage import update
from tests.test_train_stage import batch, make_state


def test_the_running_mean_is_the_loops():
    losses = [3.0, 2.0, 4.0, 1.0]
    mean, weight = 0.0, 0.0
    for loss in losses:
        mean, weight = 0.9 * mean + 0.1 * loss, 0.9 * weight + 0.1
    assert smoothed(losses) == pytest.approx(mean / weight, rel=1e-12)


def test_a_tenth_of_the_rate_with_the_least_loss():
    lr_T = np.logspace(-5, 1, 61)
    bowl_T = 2 + (np.log10(lr_T) + 1) ** 2 / 16  # least at 0.1
    assert suggest(lr_T, bowl_T) == pytest.approx(0.01)
    assert suggest(lr_T, np.linspace(2, 3, 61)) is None
    assert suggest(lr_T[:0], lr_T[:0]) is None


def test_rates_grow_evenly_and_it_ends_where_the_loss_runs_away():
    state = make_state()
    image_BHWC, label_B = batch()
    rates = []
    state.optimizer.register_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )

    def endless():
        while True:
            yield Batch(image_BHWC, label_B, torch.arange(8))

    found = range_test(state, endless(), update, updates=40)
    assert np.allclose(found.lr_T, rates[: len(found.lr_T)])
    assert np.allclose(np.diff(np.log10(found.lr_T)), 6 / 39)
    assert 10 < len(found.lr_T) <= 40 and np.isfinite(found.loss_T).all()
    assert found.suggested is not None and found.lr_T[0] < found.suggested < 10


@pytest.mark.slow
def test_find_lr_leaves_the_stage_as_it_was(command, tiny_recipe, tmp_path):
    run = tmp_path / "runs" / "tiny"
    done = command("train.py", str(tiny_recipe), "--find-lr", "--json", "data.image_size=16")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["stage"] == "classify"
    assert sorted(path.name for path in run.iterdir()) == [
        "find-lr-classify.csv",
        "find-lr-classify.png",
        "find-lr-classify.svg",
    ]
    with open(found["csv"]) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["updates"] and set(rows[0]) == {"lr", "loss", "smoothed"}
    if found["suggested"] is not None:
        assert found["override"] == f"stages.classify.optimizer.lr={found['suggested']:g}"
    refused = command("train.py", str(tiny_recipe), "--find-lr", "finetune")
    assert refused.returncode == 2 and "classify, which is not finished" in refused.stderr
