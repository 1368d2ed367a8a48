"""metrics.jsonl is cut where a stage resumes; what trackers are given is read back with
TensorBoard's own reader and a stand-in for wandb."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from starter.api import train
from starter.errors import UserError
from starter.hooks.trackers import MetricsFile, Trackers, check_trackers
from starter.recipe import load
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from tests.conftest import ROOT

# Records every call in calls.jsonl beside itself; refuses where WANDB_REFUSE is set.
STAND_IN = """
import json, os
from pathlib import Path

class Error(Exception):
    pass

def call(called, /, **values):
    with open(Path(__file__).with_name("calls.jsonl"), "a") as file:
        file.write(json.dumps({"call": called, **values}, default=str) + "\\n")

class Run:
    def __init__(self, id):
        self.id = id
    def log(self, values, step):
        if os.environ.get("WANDB_BREAK"):
            raise OSError("no space left")
        call("log", id=self.id, step=step, values=values)
    def finish(self):
        call("finish", id=self.id)

def init(**options):
    if os.environ.get("WANDB_REFUSE"):
        raise Error("api_key not configured (no-tty).\\ncall wandb.login")
    call("init", **options)
    return Run(options["id"] or f"id-{options['name']}")

def Image(path):
    return path
"""


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """calls() of a stand-in that is imported in place of wandb."""
    place = tmp_path / "stand-in"
    place.mkdir()
    (place / "wandb.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(place.as_posix())
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-key")
    yield lambda: [json.loads(line) for line in (place / "calls.jsonl").open()]
    sys.modules.pop("wandb", None)


def recipe_of(path: Path, *track: str) -> Recipe:
    return load(path, [f"track=[{','.join(track)}]"])


def scalars(place: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(place.as_posix(), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def rows_until(last: int, first: int = 1) -> list[dict]:
    """As a stage writes them: an interval every 10 updates, an epoch every 20."""
    rows = []
    for step in range(10, 10 * last + 1, 10):
        rows.append({"kind": "interval", "step": step, "lr": 0.1, "loss": 100.0 - step})
        if step % 20 == 0:
            metrics = {"loss": 1.0 * step, "accuracy": step / 1000, "eer": None}
            rows.append({"kind": "epoch", "step": step, "epoch": step // 20} | metrics)
    return [row for row in rows if row["step"] >= 10 * first]


def begun(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.stage("classify").path.mkdir(parents=True)
    return folder


def write(folder: RunFolder, rows: list[dict], trackers: Trackers | None = None) -> None:
    """As MetricsFile and then the trackers are told of a row."""
    for row in rows:
        with open(folder.stage("classify").metrics, "a") as file:
            file.write(json.dumps(row) + "\n")
        if trackers is not None:
            trackers.row(row)


def begin(recipe: Recipe, folder: RunFolder) -> Trackers:
    trackers = Trackers(recipe, folder, "classify")
    trackers.begin(None)
    return trackers


def finish(trackers: Trackers) -> None:
    trackers.end(None, None)
    trackers.close()
    trackers.finish()


def train_killed_and_resumed(recipe: Recipe, folder: RunFolder) -> None:
    """Killed after update 50, resumed from the checkpoint of update 20, on to update 80."""
    write(folder, rows_until(5), begin(recipe, folder))
    folder.stage("classify").metrics.unlink()
    write(folder, rows_until(2))
    trackers = begin(recipe, folder)
    write(folder, rows_until(8, first=3), trackers)
    finish(trackers)


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


def test_tensorboard_shows_every_step_once_after_a_resume(tiny_recipe, tmp_path):
    folder = begun(tmp_path)
    train_killed_and_resumed(recipe_of(tiny_recipe, "tensorboard"), folder)
    written = scalars(folder.path / "tensorboard" / "classify")
    assert written["interval/loss"] == [(step, 100.0 - step) for step in range(10, 81, 10)]
    assert written["epoch/loss"] == [(step, 1.0 * step) for step in (20, 40, 60, 80)]
    assert [step for step, _ in written["epoch/accuracy"]] == [20, 40, 60, 80]
    assert "epoch/eer" not in written and "epoch/step" not in written


def test_wandb_is_sent_every_step_once_after_a_resume(tiny_recipe, tmp_path, wandb):
    folder = begun(tmp_path)
    train_killed_and_resumed(recipe_of(tiny_recipe, "wandb"), folder)
    first, second = (call for call in wandb() if call["call"] == "init")
    assert first["id"] is None and second["id"] == "id-tiny/classify"
    assert (first["group"], first["resume"]) == ("tiny", "allow")
    assert first["config"]["stages"]["classify"]["epochs"] == 2
    sent = [(call["step"], *call["values"]) for call in wandb() if call["call"] == "log"]
    losses = [step for step, *names in sent if "interval/loss" in names]
    assert losses == list(range(10, 81, 10))
    assert [step for step, *names in sent if "epoch/accuracy" in names] == [20, 40, 60, 80]
    assert [call["call"] for call in wandb()][-1] == "finish"


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, demo_root):
    """The tiny run with TensorBoard, and the same without."""
    from tests.conftest import TINY

    place = tmp_path_factory.mktemp("tracked")
    (place / "tiny.yaml").write_text(TINY.format(folder=place, demo=demo_root))
    recipe = load(place / "tiny.yaml", ["track=[tensorboard]"])
    train(recipe)
    return place, recipe, RunFolder(Path(recipe.runs) / recipe.name)


def test_a_whole_run_in_tensorboard(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, _, folder = tracked
    for stage, epochs in (("classify", 2), ("finetune", 1)):
        place = folder.path / "tensorboard" / stage
        rows = [json.loads(line) for line in (folder.stage(stage).path / "metrics.jsonl").open()]
        assert len(rows) == 2 * epochs
        losses = scalars(place)
        for kind in ("interval", "epoch"):
            written = [(r["step"], r["loss"]) for r in rows if r["kind"] == kind]
            np.testing.assert_allclose(losses[f"{kind}/loss"], written, rtol=1e-6)
        events = EventAccumulator(place.as_posix())
        events.Reload()
        images = set(events.Tags()["images"])
        assert {"report/loss", "report/roc", f"report/augmented-{stage}"} <= images


def test_trackers_do_not_change_what_a_stage_is(tracked, caplog):
    """The same run without, then with again: nothing is trained."""
    place, recipe, folder = tracked
    before = (folder.stage("classify").path / "stage.json").read_bytes()
    with caplog.at_level("INFO"):
        train(load(place / "tiny.yaml", []))
        train(recipe)
    assert caplog.text.count("already finished, skipping") == 4
    assert (folder.stage("classify").path / "stage.json").read_bytes() == before


def test_a_finished_run_is_shown_when_it_is_asked_for_later(tracked, wandb):
    place, _, folder = tracked
    train(load(place / "tiny.yaml", ["track=[wandb]"]))
    sent = [call for call in wandb() if call["call"] == "log"]
    assert {call["id"] for call in sent} == {"id-tiny/classify", "id-tiny/finetune"}
    assert any("report/roc" in call["values"] for call in sent)
    train(load(place / "tiny.yaml", ["track=[wandb]"]))
    assert len([call for call in wandb() if call["call"] == "log"]) == len(sent)
    for path in folder.path.rglob("*"):  # wandb knows its key; the run folder does not
        assert path.is_dir() or b"a-secret-key" not in path.read_bytes(), path


def test_one_that_is_not_installed_is_told_before_anything_is_done(tiny_recipe, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    recipe = recipe_of(tiny_recipe, "tensorboard")
    with pytest.raises(UserError, match="pip install tensorboard, or leave it out of track"):
        train(recipe)
    assert not Path(recipe.runs).exists()
    check_trackers(())


def test_a_key_or_another_tracker_in_a_recipe_is_refused(tiny_recipe):
    with pytest.raises(UserError, match="track"):
        recipe_of(tiny_recipe, "mlflow")
    with pytest.raises(UserError):
        load(tiny_recipe, ["track=[{wandb: key}]"])


def test_wandb_without_an_account_is_told_in_a_line(tiny_recipe, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_REFUSE", "1")
    with pytest.raises(UserError, match="WANDB_MODE=offline") as error:
        train(recipe_of(tiny_recipe, "wandb"))
    assert "\n" not in str(error.value)


def test_a_tracker_that_breaks_costs_no_run(tiny_recipe, tmp_path, wandb, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_BREAK", "1")
    folder = begun(tmp_path)
    trackers = begin(recipe_of(tiny_recipe, "tensorboard", "wandb"), folder)
    write(folder, rows_until(2), trackers)
    finish(trackers)
    assert caplog.text.count("wandb is left out from now on: OSError: no space left") == 1
    assert len(scalars(folder.path / "tensorboard" / "classify")["interval/loss"]) == 2


def test_no_recipe_of_ours_asks_for_a_tracker():
    for path in [*ROOT.glob("configs/*.yaml"), *ROOT.glob("configs/untested/*.yaml")]:
        assert "\ntrack:" not in path.read_text(), path
