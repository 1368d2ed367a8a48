"""Which stages run again, which are refused, and what stays the run's best."""

import json
import shutil
import signal

import pytest

from starter.api import submit, train, verify
from starter.errors import Interrupted, UserError
from starter.hooks.stop import Stopper
from starter.losses import LOSSES
from starter.recipe import load
from starter.runs.folder import RunFolder
from starter.runs.records import Best, Stage
from tests.conftest import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first(tmp_path_factory, demo_root):
    """A recipe file, and a folder of runs in which it was trained."""
    folder = tmp_path_factory.mktemp("stages")
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(folder=folder.as_posix(), demo=demo_root.as_posix()))
    train(load(path))
    return path, folder / "runs"


@pytest.fixture
def again(first, tmp_path):
    """A copy of that run: a function that loads its recipe with changes, and its folder."""
    shutil.copytree(first[1], tmp_path / "runs")

    def recipe(*changes):
        return load(first[0], [f"runs={tmp_path.as_posix()}/runs", *changes])

    return recipe, RunFolder(tmp_path / "runs" / "tiny")


def read(path):
    return json.loads(path.read_text())


def make_best(folder, stage):
    Best(stage=stage).write(folder.best)


@pytest.mark.parametrize("best", ["classify", "finetune"])
def test_fresh_forgets_the_best_and_the_numbers_of_what_it_discards(again, best):
    recipe, folder = again
    make_best(folder, best)
    train(recipe(), stage="classify", fresh="classify")
    assert folder.read_best() == "classify"
    assert list(folder.read_summary().stages) == ["classify"]
    assert not folder.stage("finetune").path.exists()


def test_the_best_after_a_discarded_stage_is_what_the_other_gates_leave(again):
    recipe, folder = again
    make_best(folder, "finetune")
    summary = train(recipe("stages.finetune.gate=false"), fresh="finetune")
    assert folder.read_best() == summary.best == "finetune"  # gate: false takes it anyway
    summary = train(recipe(), stage="classify", fresh="finetune")
    assert folder.read_best() == summary.best == "classify"


def test_a_best_that_somebody_removed_is_no_reference(again):
    recipe, folder = again
    make_best(folder, "finetune")
    shutil.rmtree(folder.stage("finetune").path)
    shutil.rmtree(folder.stage("classify").path)
    train(recipe(), stage="classify")
    assert folder.read_best() == "classify"


def test_a_kill_before_a_stage_is_marked_finished_ends_the_same(again):
    recipe, folder = again
    wanted = folder.read_summary(), folder.read_best(), folder.read_stage("finetune")
    record = folder.stage("finetune").record
    done = folder.read_stage("finetune")
    Stage(hash=done.hash, inputs=done.inputs).write(record)
    train(recipe())
    assert (folder.read_summary(), folder.read_best(), folder.read_stage("finetune")) == wanted


def test_a_parent_trained_again_elsewhere_is_noticed(again, tmp_path):
    recipe, folder = again
    init = f"stages.finetune.init={folder.stage('classify')}"
    child = recipe("name=child", init)
    train(child, stage="finetune")
    before = {p: p.read_bytes() for p in (folder.path.parent / "child").rglob("*.json")}
    moved = tmp_path / "moved"
    shutil.copytree(folder.path, moved)
    train(recipe("name=child", f"stages.finetune.init={moved}/classify"), stage="finetune")
    train(recipe("seed=2"), stage="classify", fresh="classify")
    with pytest.raises(UserError, match=r"other weights than .*classify has now.*--fresh finetune"):
        train(child, stage="finetune")
    for path, content in before.items():
        if "checkpoints" in path.parts or path.name == "stage.json":
            assert path.read_bytes() == content
    train(child, stage="finetune", fresh="finetune")


def test_a_parent_of_this_run_trained_again_is_noticed(again):
    """With other weights under the same settings, as other hardware would give."""
    recipe, folder = again
    donor = recipe("name=donor", "seed=2")
    train(donor, stage="classify")
    theirs = RunFolder(folder.path.parent / "donor").stage("classify").path / "checkpoints"
    shutil.rmtree(folder.stage("classify").path / "checkpoints")
    shutil.copytree(theirs, folder.stage("classify").path / "checkpoints")
    with pytest.raises(UserError, match=r"finetune was trained from other weights than classify"):
        train(recipe())


def test_a_changed_later_stage_is_refused_before_an_earlier_one_is_trained(again):
    recipe, folder = again
    shutil.rmtree(folder.stage("classify").path)
    with pytest.raises(UserError, match=r"optimizer\.lr: 0\.01 -> 0\.02"):
        train(recipe("stages.finetune.optimizer.lr=0.02"))
    assert not folder.stage("classify").path.exists()


def test_an_interrupted_fresh_says_to_leave_it_out(again, monkeypatch):
    from starter.errors import Interrupted

    recipe, _ = again
    monkeypatch.setattr(Stopper, "reason", lambda self, max_hours: "SIGTERM")
    with pytest.raises(Interrupted, match="leave out --fresh finetune"):
        train(recipe(), fresh="finetune")


def test_the_best_stage_may_be_gone_from_the_recipe(again):
    _, folder = again
    make_best(folder, "finetune")
    text = (folder.path / "recipe.yaml").read_text()
    (folder.path / "recipe.yaml").write_text(text[: text.index("  finetune:")] + "verify: {}\n")
    result = verify(folder.path)
    assert result.stage == "finetune" and result.classes_from.endswith("finetune")


def test_a_stage_may_have_another_image_size(again):
    recipe, folder = again
    summary = train(recipe("stages.finetune.image_size=24"), fresh="finetune")
    assert summary.stages["finetune"].accuracy is not None
    make_best(folder, "finetune")
    result = verify(folder.path)
    assert result.stage == "finetune" and result.images == 64


def test_a_submission_of_other_weights_is_refused(again):
    recipe, folder = again
    train(recipe())
    verify(folder.path)
    submit(folder.path, dry_run=True)
    result = read(folder.verify / "result.json")
    (folder.verify / "result.json").write_text(json.dumps(result | {"weights": "0" * 64}))
    with pytest.raises(UserError, match="is of other weights than"):
        submit(folder.path, dry_run=True)
    sample = recipe().data.root + "/sample_submission_combined.csv"
    submit(folder.submission, sample=sample, dry_run=True)  # the file itself may still be sent


@pytest.mark.parametrize(
    "path",
    [
        "classify/stage.json",
        "summary.json",
        "classify/checkpoints/best.json",
        "classify/predictions/best.npz",
    ],
)
@pytest.mark.parametrize("content", [b"", b"{}", b'{"step"'])
def test_a_damaged_file_of_a_run_is_named(again, path, content):
    recipe, folder = again
    (folder.path / path).write_bytes(content)
    with pytest.raises(UserError, match=path.rsplit("/", 1)[-1].replace(".", r"\.")):
        train(recipe(), fresh="finetune")
        verify(folder.path)


def test_a_signal_stops_at_once_unless_a_training_loop_listens():
    with Stopper() as stopper:
        with stopper.listening():
            signal.raise_signal(signal.SIGTERM)
        assert stopper.reason(None) == "SIGTERM"
    with Stopper(), pytest.raises(Interrupted, match="SIGINT: stopped"):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_a_stage_of_every_loss_runs_to_its_end(kind, tmp_path, first):
    """Everything around a loss too: what is kept for the report, predictions, the checkpoint."""
    loss = f"{{kind: {kind}}}" + (", {kind: softmax}" if kind == "center" else "")
    in_batch = LOSSES[kind].mines_pairs or LOSSES[kind].whole_batch
    sampler = "{kind: pk, images: 4}" if in_batch else "{kind: shuffle}"
    recipe = load(
        first[0],
        [
            f"runs={tmp_path.as_posix()}",
            "stages.classify.epochs=1",
            f"stages.classify.loss=[{loss}]",
            f"stages.classify.sampler={sampler}",
            "stages.classify.mix={}",
        ],
    )
    stage = train(recipe, stage="classify").stages["classify"]
    assert 0 <= stage.eer <= 1 and 0 <= stage.accuracy <= 1
    kept = {path.name for path in (tmp_path / "tiny" / "classify" / "shown").iterdir()}
    assert {"angles.npz", "images.npz", "scores.npz"} <= kept
