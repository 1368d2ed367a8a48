"""`minutes`: how many epochs fit, and that measuring them changes nothing."""

import dataclasses
import json

import pytest
import torch

from starter.api import train
from starter.data import load_catalog, load_pack
from starter.errors import Interrupted
from starter.recipe import load
from starter.runs.folder import StageFolder
from starter.train_stage import prepare
from starter.training import minutes
from starter.training.build import build_batches
from starter.training.learner import AveragedWeights
from starter.training.minutes import Costs, duration
from starter.training.resolve import resolve
from starter.training.state import StageJob
from starter.training.trial import no_trace
from tests.stages.test_resume import assert_equal
from tests.test_train_stage import batch, make_state, train_step


@pytest.mark.parametrize("every", [1, 3, 50])
@pytest.mark.parametrize("seconds", [0.0, 9.9, 10.0, 61.0, 1234.5])
def test_the_most_epochs_that_end_in_time(every, seconds):
    costs = Costs(update=0.25, evaluation=2.0, checkpoint=1.0)

    def whole(epochs):
        """As a stage spends it: 8 updates and a checkpoint an epoch, then the best once more."""
        spent = 0.0
        for epoch in range(1, epochs + 1):
            spent += 8 * 0.25 + 1.0 + (2.0 if epoch % every == 0 or epoch == epochs else 0.0)
        return spent + 2.0

    fitting = [n for n in range(1, 1000) if whole(n) <= seconds]
    assert costs.epochs_in(seconds, 8, every) == max(fitting, default=1)


def everything(state):
    states = [
        part.state_dict()
        for part in (state.learner, state.average.module, state.optimizer, state.scaler)
    ]
    return [*states, torch.get_rng_state()]


def test_a_trial_leaves_no_trace():
    """Bit for bit, with momentum, averages, BatchNorm statistics and generators in use."""
    state, straight = make_state(), make_state()
    for one in (state, straight):
        one.average = AveragedWeights(one.learner, 0.9)
        train_step(one, *batch(), step=0)
    with pytest.raises(KeyError), no_trace(state):
        train_step(state, *batch(), step=1)
        assert not torch.equal(
            state.learner.embedder.backbone.conv1.weight,
            straight.learner.embedder.backbone.conv1.weight,
        )
        torch.rand(3)
        raise KeyError  # also when the trial fails
    assert_equal(everything(state), everything(straight))
    for one in (state, straight):
        train_step(one, *batch(), step=1)
    assert_equal(everything(state), everything(straight))


def test_a_stage_of_minutes_ends_in_them_by_the_clock(tmp_path, tiny_recipe, monkeypatch):
    """Updates of 0.5 s, evaluations of 2 s and checkpoints of 1 s on a clock of the test's own;
    an epoch is 5 updates. What the measuring took is taken off."""
    clock, trained = [100.0], []

    def taking(seconds, kept=None):
        def call(*arguments, **options):
            clock[0] += seconds
            if kept is not None:
                kept.append(seconds)

        return call

    monkeypatch.setattr(minutes, "_now", lambda device: clock[0])
    monkeypatch.setattr(minutes, "trial_step", taking(0.5, trained))
    monkeypatch.setattr(minutes, "_save_apart", taking(1.0))
    changes = ["stages.classify.minutes=3", "stages.classify.evaluate_every=2"]
    recipe = resolve(load(tiny_recipe, changes))
    job, batches, state = prepared(recipe, tmp_path)
    minutes.with_length(job, state, batches, None, taking(2.0))
    per_epoch = batches.batches_per_epoch
    spent = clock[0] - 100.0
    assert spent == len(trained) * 0.5 + 3.0 and spent < 0.2 * 180
    epochs = state.section.epochs
    total = spent + epochs * (per_epoch * 0.5 + 1.0) + (-(-epochs // 2) + 1) * 2.0
    assert 180 - (per_epoch * 0.5 + 1.0 + 2 * 2.0) < total <= 180
    assert state.steps == epochs * per_epoch and state.schedule.set(state.steps) == pytest.approx(
        0.0
    )


def prepared(recipe, folder):
    catalog = load_catalog(recipe.data)
    plain = {"minutes": None, "epochs": 1}
    stage = recipe.stages["classify"]
    job = StageJob("classify", StageFolder(folder), recipe, catalog, None, torch.device("cpu"))
    unmeasured = recipe.model_copy(update={"stages": {"classify": stage.model_copy(update=plain)}})
    images = load_pack(catalog, 16, 3, folder)
    batches = build_batches(job, images)
    return job, batches, prepare(dataclasses.replace(job, recipe=unmeasured), images, batches)


@pytest.mark.slow
def test_a_run_of_minutes_is_the_run_of_its_epochs_and_resumes_as_one(
    tmp_path, tiny_recipe, monkeypatch
):
    measure = minutes.measure
    measured = []

    def two_epochs(job, *arguments):
        measured.append(measure(job, *arguments))
        assert not job.folder.trials.exists()
        return Costs(update=1.0, evaluation=0.0, checkpoint=0.0)

    monkeypatch.setattr(minutes, "_now", lambda device: 0.0)  # no time is spent on measuring
    monkeypatch.setattr(minutes, "SHARE", 0.0)
    monkeypatch.setattr(minutes, "measure", two_epochs)
    plain = load(tiny_recipe, ["name=plain", "stages.classify.epochs=2"])
    train(plain, stage="classify")
    per_epoch = 64 // 16
    timed = load(tiny_recipe, ["name=timed", f"stages.classify.minutes={(2.5 * per_epoch) / 60}"])
    stop_after_an_epoch(monkeypatch, timed)
    assert len(measured) == 1
    with monkeypatch.context() as once:
        once.setattr(minutes, "measure", None)  # read back, not measured again
        summary = train(timed, stage="classify")
    assert summary.stages["classify"].epochs == 2
    runs = tmp_path / "runs"
    assert json.loads((runs / "timed/classify/choices.json").read_text())["epochs"] == 2
    last = [
        (runs / name / "classify/checkpoints/last.json").read_text() for name in ("plain", "timed")
    ]
    assert last[0] == last[1]
    step = str(json.loads(last[0])["step"])
    weights = [
        (runs / name / "classify/checkpoints" / step / "weights.safetensors").read_bytes()
        for name in ("plain", "timed")
    ]
    assert weights[0] == weights[1]


def stop_after_an_epoch(monkeypatch, recipe):
    from starter.hooks.stop import Stopper

    asked = []

    def reason(self, hours):
        asked.append(hours)
        return "enough" if len(asked) > 4 else None

    with monkeypatch.context() as patch:
        patch.setattr(Stopper, "reason", reason)
        with pytest.raises(Interrupted):
            train(recipe, stage="classify")


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (720, "12 min"), (11100, "3 h 05")])
def test_duration(seconds, text):
    assert duration(seconds) == text
