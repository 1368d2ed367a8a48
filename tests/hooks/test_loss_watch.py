"""What is said of a stage that learns nothing, and that nothing is said of one that learns."""

from types import SimpleNamespace

import numpy as np
import pytest

from starter.hooks.progress import LossWatch, verdict

LABELS = np.arange(200) % 10


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
