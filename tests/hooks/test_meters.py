"""The loss meter."""

import pytest
import torch

from starter.errors import UserError
from starter.hooks.meters import LossMeter


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
