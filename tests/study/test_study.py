"""A study: its runs, its numbers, its table."""

import csv
import json
import math

import numpy as np
import pytest

from starter.errors import UserError
from starter.metrics import evaluate
from starter.recipe import load
from starter.report.study import table_rows
from starter.report.study_read import open_study
from starter.study.plan import Cell, Run, cells, plan, read_study
from starter.study.table import Row, write
from tests.conftest import ROOT

STUDY = """\
name: few
recipe: tiny.yaml
metric: eer
stage: classify
seeds: [0, 1]
baseline: softmax
target: 0.9
common: {{train.epochs: 1}}
variants:
  softmax: {{}}
  arcface:
    stages.classify.loss: [{{kind: arcface, scale: 8}}]
    stages.classify.mix: {{mixup: 0}}
{more}"""


@pytest.fixture
def study_file(tiny_recipe):
    def write(more: str = "", name: str = "few.yaml"):
        path = tiny_recipe.parent / name
        path.write_text(STUDY.format(more=more))
        return path

    return write


def test_every_variant_meets_every_point_of_the_grid_and_every_seed(study_file):
    path = study_file("grid: {train.batch_size: [8, 16], stages.classify.optimizer.lr: [0.1]}\n")
    path.write_text(path.read_text().replace("baseline: softmax\n", ""))
    study = read_study(path)
    assert [cell.variant for cell in cells(study)] == [
        *("softmax batch_size=8 lr=0.1", "softmax batch_size=16 lr=0.1"),
        *("arcface batch_size=8 lr=0.1", "arcface batch_size=16 lr=0.1"),
    ]
    runs = plan(path, study, ["data.image_size=24"], [])
    assert [run.seed for run in runs] == [0] * 4 + [1] * 4
    last = runs[-1].recipe
    assert (last.seed, last.data.image_size) == (1, 24)
    assert last.stages["classify"].batch_size == 16
    assert last.stages["classify"].epochs == 2  # the stage's own, over train's
    assert last.stages["classify"].loss[0].kind == "arcface"
    assert len({run.folder for run in runs}) == 8
    assert all(run.folder.parent.as_posix().endswith("runs/studies/few") for run in runs)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("metric: eer", "metric: err", "few.yaml:3:9: metric: no such metric"),
        ("baseline: softmax", "baseline: sofmax", "no variant 'sofmax'"),
        ("seeds: [0, 1]", "seeds: [1, 1]", "one of them twice"),
        ("stage: classify", "stage: pretrain", "softmax has no stage 'pretrain'"),
        ("{kind: arcface, scale: 8}", "{kind: arkface}", "did you mean 'arcface'?"),
        ("seeds:", "seed:", "did you mean 'seeds'?"),
    ],
)
def test_mistakes_are_told_with_their_place_before_anything_is_trained(study_file, old, new, words):
    path = study_file()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError) as error:
        plan(path, read_study(path), [], [])
    assert words in str(error.value)
    assert "few.yaml" in str(error.value)


def test_only_names_a_variant_that_is_there(study_file):
    path = study_file()
    with pytest.raises(UserError, match="no variant 'triplet'; there is softmax, arcface"):
        plan(path, read_study(path), [], ["triplet"])


def test_the_shipped_studies_resolve():
    files = sorted((ROOT / "configs").rglob("studies/*.yaml"))
    assert len(files) >= 8
    for path in files:
        not_run = path.read_text(encoding="utf-8").startswith("# Not yet run")
        assert not_run == ("untested" in path.relative_to(ROOT).parts), path
        study = read_study(path)
        assert study.name == path.stem
        assert plan(path, study.model_copy(update={"seeds": (0,)}), [], [])


def rows_of(recipe, variant, scores, same_P, seeds=(0, 1, 2)):
    rows = []
    for seed, score_P in zip(seeds, scores, strict=True):
        eer = evaluate(score_P, same_P)["eer"]
        run = Run(Cell(variant, {}, {}), seed, recipe)
        rows.append(Row(run, {"eer": eer, "auc": None}, 10.0 + seed, None, score_P))
    return rows


def test_the_table_holds_means_errors_and_paired_differences(tiny_recipe, study_file, tmp_path):
    study, recipe = read_study(study_file()), load(tiny_recipe)
    rng = np.random.default_rng(0)
    same_P = np.arange(400) % 2 == 0
    base = [(same_P + rng.normal(0, 1.0, 400)).astype(np.float32) for _ in range(3)]
    better = [score_P + 0.5 * same_P.astype(np.float32) for score_P in base]
    rows = rows_of(recipe, "softmax", base, same_P) + rows_of(recipe, "arcface", better, same_P)
    cells_of = write(study, rows, (same_P, None), tmp_path)
    opened = open_study(tmp_path)
    first, second = opened.statistics("eer").itertuples()
    assert (first.Index, second.Index) == ("arcface", "softmax")  # the lower EER first
    eers = [evaluate(score_P, same_P)["eer"] for score_P in better]
    assert first.mean == pytest.approx(np.mean(eers))
    assert first.sem == pytest.approx(np.std(eers, ddof=1) / math.sqrt(3))
    assert opened.statistics("seconds")["mean"]["arcface"] == pytest.approx(11.0)
    assert opened.statistics("epochs_to_target").empty
    value, low, high = opened.difference["arcface"]
    assert value == pytest.approx(first.mean - second.mean)
    # The interval by brute force: the same resampled pairs for all, EERs averaged over seeds.
    draw = np.random.default_rng(1)
    changes = []
    for _ in range(300):
        at = draw.integers(400, size=400)
        eers = [[evaluate(s[at], same_P[at])["eer"] for s in part] for part in (better, base)]
        changes.append(np.mean(eers[0]) - np.mean(eers[1]))
    assert (low, high) == pytest.approx(np.percentile(changes, [2.5, 97.5]), abs=0.006)
    assert cells_of[0][:4] == ["variant", "seeds", "EER, %", "against softmax"]
    assert cells_of[1][3] == f"{100 * value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"
    bold = table_rows(opened, ["eer"], bold="**{}**".format)
    assert bold[1][2].startswith("**") and not bold[2][2].startswith("**")


@pytest.mark.slow
def test_a_study_trains_continues_and_writes_its_table(study_file, command):
    path = study_file("distorted: [{kind: GaussNoise, p: 1.0}]\n")
    first = command("-m", "starter.study", str(path), "--only", "softmax")
    assert first.returncode == 0, first.stderr
    again = command("-m", "starter.study", str(path))
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("already finished") >= 2
    folder = next(path.parent.glob("runs/studies/few"))
    with (folder / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = [(variant, seed) for seed in "01" for variant in ("softmax", "arcface")]
    assert [(row["variant"], row["seed"]) for row in rows] == expected
    for row in rows:
        lines = (path.parent / row["run"] / "classify" / "metrics.jsonl").read_text().splitlines()
        last = [r for r in map(json.loads, lines) if r["kind"] == "epoch"][-1]
        assert float(row["eer"]) == last["eer"]
        assert 0 <= float(row["accuracy_distorted"]) <= 1
    assert {"table.md", "table.csv", "study.json"} <= {p.name for p in folder.iterdir()}
    alone = command("-m", "starter.study", str(path), "--table", "--json")
    assert len(json.loads(alone.stdout)["rows"]) == 4
