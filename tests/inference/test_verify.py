"""The public commands, on a tiny competition, as a user types them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demo_root):
    """One run of both stages, and the folder it lies in."""
    import subprocess
    import sys

    from tests.conftest import ROOT, TINY

    folder = tmp_path_factory.mktemp("trained")
    recipe = folder / "tiny.yaml"
    recipe.write_text(TINY.format(folder=folder.as_posix(), demo=demo_root.as_posix()))
    done = subprocess.run(
        [sys.executable, "train.py", str(recipe)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder / "told.txt").write_text(done.stderr)
    (folder / "table.txt").write_text(done.stdout)
    done = subprocess.run(
        [sys.executable, "verify.py", str(folder / "runs" / "tiny"), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return recipe, folder / "runs" / "tiny", json.loads(done.stdout)


def test_summary_holds_the_contract(trained):
    summary = json.loads((trained[1] / "summary.json").read_text())
    assert list(summary["stages"]) == ["classify", "finetune"]
    for stage in summary["stages"].values():
        assert set(stage) == {
            "epochs",
            "seconds",
            "images_per_second",
            "parameters",
            "accuracy",
            "eer",
            "auc",
            "monitor",
        }
        assert 0 <= stage["eer"] <= 1 and 0 <= stage["accuracy"] <= 1
        assert stage["monitor"] == pytest.approx(0.5 * stage["accuracy"] + 0.5 * (1 - stage["eer"]))
    assert summary["best"] in summary["stages"]


def test_without_a_terminal_the_lines_are_plain_and_align(trained):
    told = (trained[0].parent / "told.txt").read_text()
    assert not set("\r\x1b\b") & set(told) and "█" not in told and "Warning" not in told
    epochs = [line for line in told.splitlines() if " epoch " in line]
    assert len(epochs) == 3
    first, second = epochs[:2]
    for column in ("loss", "images/s", "waiting for data"):
        assert first.index(column) == second.index(column)


def test_the_table_has_a_line_a_stage_and_marks_the_best(trained):
    lines = (trained[0].parent / "table.txt").read_text().splitlines()
    summary = json.loads((trained[1] / "summary.json").read_text())
    head, *stages = lines[1:4]
    assert head.split() == ["stage", "epochs", "minutes", "images/s", "accuracy", "EER", "AUC"]
    for line, (name, stage) in zip(stages, summary["stages"].items(), strict=True):
        assert line.startswith(name + (" *" if name == summary["best"] else "  "))
        for key in ("accuracy", "eer", "auc"):
            assert f"{100 * stage[key]:.2f} %" in line
        assert len(line) == len(head)  # columns end alike
    assert lines[5].startswith("* best of the run") and "report.html" in lines[6]


def test_submission_has_the_samples_ids_in_order(trained, demo_root):
    with open(demo_root / "sample_submission_combined.csv", newline="") as file:
        sample = list(csv.reader(file))
    with open(trained[1] / "submission.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == [row[0] for row in sample]
    labels = [row[1] for row in rows[1:] if " " not in row[0]]
    assert set(labels) <= {str(k) for k in range(8)}
    assert all(-1.001 <= float(row[1]) <= 1.001 for row in rows[1:] if " " in row[0])


def test_scores_read_back_the_same(trained):
    import numpy as np

    scores = np.load(trained[1] / "verify" / "test_scores.npy")
    with open(trained[1] / "submission.csv", newline="") as file:
        read = [float(row[1]) for row in list(csv.reader(file))[1:] if " " in row[0]]
    assert np.array_equal(np.array(read, np.float32), scores)


def test_metrics_equal_scikit_learn(trained):
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from starter.data import load_catalog
    from starter.recipe import load

    recipe, run, result = trained
    pairs = load_catalog(load(recipe, []).data).pairs["val"]
    scores = np.load(run / "verify" / "val_scores.npy")
    assert result["val"]["auc"] == pytest.approx(roc_auc_score(pairs.same_P, scores), abs=1e-9)


def test_each_image_is_embedded_once_and_alone_gives_the_same(trained):
    import numpy as np

    from starter.data import load_catalog
    from starter.inference.open_stage import open_stage
    from starter.recipe import load
    from starter.runs.folder import RunFolder

    recipe, run, result = trained
    with np.load(run / "verify" / "embeddings.npz") as kept:
        index_U, emb_UD = kept["index_U"], kept["emb_UD"]
    assert len(np.unique(index_U)) == len(index_U) == result["images"]
    loaded = load(recipe, [])
    catalog = load_catalog(loaded.data)
    opened = open_stage(RunFolder(run), loaded, result["stage"], catalog)
    image_NHWC = opened.pack(loaded, catalog)
    for i in (0, len(index_U) // 2, len(index_U) - 1):
        alone_1D = opened.embed(image_NHWC, index_U[i : i + 1])
        np.testing.assert_allclose(alone_1D[0], emb_UD[i], atol=1e-6, rtol=1e-5)


def test_finished_stages_are_not_run_again(trained, command):
    done = command("train.py", str(trained[0]))
    assert done.returncode == 0
    assert done.stderr.count("already finished") == 2


def test_a_changed_stage_is_refused_with_the_difference(trained, command):
    kept = (trained[1] / "recipe.yaml").read_bytes()
    done = command("train.py", str(trained[0]), "stages.classify.optimizer.lr=0.05")
    assert done.returncode == 2
    assert (trained[1] / "recipe.yaml").read_bytes() == kept  # it says what was trained
    assert "optimizer.lr: 0.1 -> 0.05" in done.stderr and "--fresh classify" in done.stderr


def test_where_data_is_read_and_verify_do_not_count(trained, command):
    done = command(
        "train.py", str(trained[0]), "data.workers=1", "verify.resamples=0", "train.max_hours=5"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("already finished") == 2


def test_fresh_discards_descendants_too(trained, command, tmp_path):
    import shutil

    copy = tmp_path / "runs" / "tiny"
    shutil.copytree(trained[1], copy)
    done = command(
        "train.py",
        str(trained[0]),
        f"runs={tmp_path}/runs",
        "--fresh",
        "classify",
        "--stage",
        "classify",
    )
    assert done.returncode == 0, done.stderr
    assert (copy / "classify").exists() and not (copy / "finetune").exists()


def test_a_pair_of_pictures_gets_an_answer(trained, command, demo_root):
    a, b = sorted((demo_root / "ver_data").iterdir())[:2]
    done = command("verify.py", str(trained[1]), "--pair", str(a), str(b))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(":")[0] in ("same", "different") and "threshold" in done.stdout
    done = command("verify.py", str(trained[1]), "--pair", str(a), str(a), "--json")
    found = json.loads(done.stdout)
    assert found["score"] == pytest.approx(1, abs=1e-5) and found["same"]


def test_dry_run_checks_and_stops(trained, command):
    done = command("submit.py", str(trained[1]), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "dry run" in done.stdout


def test_another_run_can_start_from_this_one(trained, command, tmp_path):
    done = command(
        "train.py",
        str(trained[0]),
        f"runs={tmp_path}",
        "name=other",
        "--stage",
        "finetune",
        f"stages.finetune.init={trained[1]}/classify",
    )
    assert done.returncode == 0, done.stderr
    assert "starts from classify" in done.stderr and "arcface: class weights set" in done.stderr


def break_run(trained, tmp_path) -> Path:
    import shutil

    shutil.copytree(trained[1], tmp_path / "run")
    return tmp_path / "run"


def test_a_first_layer_of_another_stride_is_another_network(trained, command, tmp_path):
    """Its weights have the same shape."""
    done = command(
        "train.py",
        str(trained[0]),
        f"runs={tmp_path}",
        "name=strided",
        "--stage",
        "finetune",
        "model.stem=3x3/2",
        f"stages.finetune.init={trained[1]}/classify",
    )
    assert done.returncode == 2
    assert "stem 3x3/1" in done.stderr and "first difference: model.stem" in done.stderr


def test_a_pair_is_scored_as_the_threshold_was_fitted(trained, demo_root, tmp_path):
    from starter.api import verify, verify_pair

    run = break_run(trained, tmp_path)
    pair = sorted((demo_root / "ver_data").iterdir())[:2]
    plain = verify_pair(run, *pair).score
    verify(run, overrides=["verify.tta=[hflip]"])
    flipped = verify_pair(run, *pair).score
    assert flipped != plain
    assert verify_pair(run, *pair, overrides=["verify.tta=[hflip]"]).score == flipped


def test_transductive_scores_are_off_warned_of_and_others(trained, command, tmp_path):
    run = break_run(trained, tmp_path)
    plain = command("verify.py", str(run))
    assert "verify.transductive" not in plain.stderr
    before = np.load(run / "verify" / "val_scores.npy")
    done = command("verify.py", str(run), "verify.transductive.query_expansion=2", "--json")
    assert done.returncode == 0, done.stderr
    assert "depends on the other images" in done.stderr and "rules" in done.stderr
    assert json.loads(done.stdout)["transductive"] is True
    after = np.load(run / "verify" / "val_scores.npy")
    assert after.shape == before.shape and not np.allclose(before, after)


def test_damaged_weights_are_named_although_embeddings_are_kept(trained, command, tmp_path):
    run = break_run(trained, tmp_path)
    for path in run.glob("*/checkpoints/*/weights.safetensors"):
        path.write_bytes(path.read_bytes()[:-100])
    before = (run / "submission.csv").read_bytes()
    done = command("verify.py", str(run))
    assert done.returncode == 2
    assert "weights.safetensors is damaged" in done.stderr and "Traceback" not in done.stderr
    assert (run / "submission.csv").read_bytes() == before


def test_a_sample_with_other_ids_is_refused_and_nothing_is_lost(trained, command, tmp_path):
    run = break_run(trained, tmp_path)
    before = (run / "submission.csv").read_bytes()
    sample = tmp_path / "sample.csv"
    sample.write_text("ID,Label\nnobody.jpg,0\ntest_000000.jpg,0\n")
    done = command("verify.py", str(run), f"submission.sample={sample}")
    assert done.returncode == 2 and "nobody.jpg" in done.stderr
    assert "Traceback" not in done.stderr
    assert (run / "submission.csv").read_bytes() == before


def test_the_network_of_another_recipe_is_refused(trained, command, tmp_path):
    done = command(
        "train.py",
        str(trained[0]),
        f"runs={tmp_path}",
        "name=wider",
        "--stage",
        "finetune",
        "model.embedding=16",
        f"stages.finetune.init={trained[1]}/classify",
    )
    assert done.returncode == 2
    assert "another network" in done.stderr and "Traceback" not in done.stderr
