"""The loss meter, and metrics.jsonl."""

from types import SimpleNamespace

import pytest
import torch

from starter.errors import UserError
from starter.hooks.meters import LossMeter
from starter.hooks.metrics_file import MetricsFile


def test_meter_means_do_not_depend_on_when_it_is_read():
    values = torch.rand(23).tolist()
    whole, parts = LossMeter("s"), LossMeter("s")
    for step, value in enumerate(values, 1):
        for meter in (whole, parts):
            meter.add(step, 0.1, {"loss": torch.tensor(value)})
        if step % 5 == 0:
            parts = LossMeter.from_state("s", parts.state())
    assert whole.end_interval() == parts.end_interval()
    assert whole.end_epoch() == parts.end_epoch()
    assert whole.epoch == {} and whole.epoch_count == 0


def test_meter_names_the_first_bad_update_and_term():
    meter = LossMeter("s")
    for step in range(1, 11):
        bad = torch.tensor(float("nan") if step >= 7 else 1.0)
        meter.add(step, 0.25, {"arcface": torch.tensor(1.0), "triplet": bad, "loss": bad})
    with pytest.raises(UserError, match=r"nan at update 7, term triplet, learning rate 0.25"):
        meter.flush()


@pytest.mark.parametrize(
    ("done", "kept"), [(10, '{"step": 5}\n{"step": 10}\n'), (0, "")], ids=["resumed", "anew"]
)
def test_metrics_are_cut_back_to_the_checkpoint(tmp_path, done, kept):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (5, 10, 15):
        file.row({"step": step})
    with open(file.path, "a") as handle:
        handle.write('{"step": 2')
    file.begin(SimpleNamespace(step=done))
    assert file.path.read_text() == kept
