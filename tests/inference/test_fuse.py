"""Several runs combined by the public command: two trainings of the tiny recipe, other seeds."""

import csv
import json

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(tmp_path_factory, demo_root):
    """Two runs, trained and verified."""
    from starter.api import train, verify
    from starter.recipe import load
    from tests.conftest import TINY

    folder = tmp_path_factory.mktemp("two")
    recipe = folder / "tiny.yaml"
    recipe.write_text(TINY.format(folder=folder.as_posix(), demo=demo_root.as_posix()))
    runs = []
    for seed in (1, 2):
        train(load(recipe, [f"seed={seed}", f"name=s{seed}", "stages.classify.epochs=1"]))
        verify(folder / "runs" / f"s{seed}")
        runs.append(folder / "runs" / f"s{seed}")
    return runs


def scores_of(run, name="val"):
    return np.load(run / "verify" / f"{name}_scores.npy").astype(float)


@pytest.fixture
def no_network(monkeypatch):
    """Embedding anything is an error."""

    def refuse(*_):
        raise AssertionError("a network was opened")

    monkeypatch.setattr("starter.inference.open_stage.open_stage", refuse)


@pytest.mark.parametrize("kind", ["mean", "weighted", "concat"])
def test_scores_are_the_sum_that_the_kind_says_and_need_no_network(two, kind, tmp_path, no_network):
    from starter.api import fuse

    result = fuse(two, tmp_path / "ab", kind)
    columns = [scores_of(run) for run in two]
    if kind == "concat":
        shares = [0.5, 0.5]
    else:
        weights = result.fusion.weights or [0.5, 0.5]
        shares = [w / np.std(c) for w, c in zip(weights, columns, strict=True)]
        shares = [share / sum(shares) for share in shares]
    for name in ("val", "test"):
        expected = sum(s * scores_of(run, name) for s, run in zip(shares, two, strict=True))
        np.testing.assert_allclose(scores_of(tmp_path / "ab", name), expected, atol=1e-6)
    assert [m.share for m in result.fusion.members] == pytest.approx(shares)
    assert (result.fusion.held_out_eer is not None) == (kind == "weighted")


def test_classes_are_the_mean_of_probabilities(two, tmp_path):
    import torch

    from starter.api import fuse
    from starter.data import load_catalog
    from starter.inference.open_stage import open_run, open_stage

    result = fuse(two, tmp_path / "ab")
    mean_MK = 0.0
    for run in two:
        folder, recipe, stage = open_run(run)
        catalog = load_catalog(recipe.data)
        trained = open_stage(folder, recipe, stage, catalog)
        emb_MD = trained.embed(trained.pack(recipe, catalog), catalog.index("test"))
        head = trained.learner.objective.classifier
        with torch.no_grad():
            mean_MK = mean_MK + head.logits(torch.from_numpy(emb_MD)).softmax(1).numpy() / 2
    with open(result.submission.csv, newline="") as file:
        rows = [row for row in csv.reader(file) if " " not in row[0]][1:]
    assert [int(row[1]) for row in rows] == mean_MK.argmax(1).tolist()
    assert result.classes_from == "mean probabilities of 2 of 2 runs"


def test_the_command_and_what_accepts_its_folder(two, tmp_path, command, demo_root):
    from starter.api import submit, verify
    from starter.errors import UserError
    from starter.package import package

    out = tmp_path / "ab"
    done = command("verify.py", *map(str, two), "--out", str(out), "--fusion", "weighted")
    assert done.returncode == 0, done.stderr
    assert "read back" in done.stderr and "embedding with" not in done.stderr
    assert "parameters together" in done.stdout and "held-out" in done.stdout
    assert (out / "report.html").is_file()
    assert submit(out, dry_run=True)["sample"]
    pictures = sorted((demo_root / "ver_data").rglob("*.*"))[:2]
    done = command("verify.py", str(out), "--pair", *map(str, pictures), "--json")
    answer = json.loads(done.stdout)
    assert answer["same"] == (answer["score"] >= answer["threshold"])
    assert 0 < answer["probability"] < 1
    with pytest.raises(UserError, match="--fusion weighted"):
        verify(out)
    with pytest.raises(UserError, match="package its runs"):
        package(out)


def test_a_pair_scores_as_in_the_fused_file(two, tmp_path):
    from starter.api import fuse, verify_pair
    from starter.data import load_catalog
    from starter.recipe import load

    out = tmp_path / "ab"
    fuse(two, out)
    catalog = load_catalog(load(out / "recipe.yaml").data)
    pairs = catalog.pairs["val"]
    found = verify_pair(out, catalog.path(pairs.a_P[3]), catalog.path(pairs.b_P[3]))
    assert found.score == pytest.approx(scores_of(out)[3], abs=1e-5)


def test_parameters_count_together(two, tmp_path):
    from starter.api import fuse, verify
    from starter.errors import UserError

    counts = []
    for run in two:
        summary = json.loads((run / "summary.json").read_text())
        counts.append(summary["stages"][summary["best"]]["parameters"])
    limit = f"rules.max_parameters={sum(counts) - 1}"
    verify(two[0], overrides=[limit])
    with pytest.raises(UserError, match=r"all models that answer count together.* 1 too many"):
        fuse(two, tmp_path / "ab", overrides=[limit])
    assert fuse(two, tmp_path / "ab").fusion.parameters == sum(counts)


def test_a_fusion_of_weights_that_changed_is_not_handed_in(two, tmp_path):
    from starter.api import fuse, submit
    from starter.errors import UserError

    out = tmp_path / "ab"
    fuse(two, out)
    told = json.loads((out / "fusion.json").read_text())
    told["members"][0]["weights"] = "0" * 64
    (out / "fusion.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="other weights than"):
        submit(out, dry_run=True)


def test_what_cannot_be_combined_is_refused(two, tmp_path, command):
    from starter.api import fuse, verify
    from starter.errors import UserError

    with pytest.raises(UserError, match="holds a run"):
        fuse(two, two[0])
    with pytest.raises(UserError, match="name each once"):
        fuse([two[0], two[0]], tmp_path / "aa")
    done = command("verify.py", *map(str, two))
    assert done.returncode == 2 and "--out goes with several runs" in done.stderr
    with pytest.raises(UserError, match=r"0\.0001 needs 10,000 labelled impostor pairs"):
        verify(two[0], overrides=["verify.threshold={at: far, far: 0.0001}"])
