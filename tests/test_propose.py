"""The recipe that a folder is given, and training it without writing one."""

import json
import re

import cv2
import pytest

from starter.propose import propose, run_name
from starter.recipe import load
from starter.training.resolve import resolve
from tests.data.test_kaggle import COMPETITIONS, IDS, TRAIN
from tests.data.trees import picture
from tests.data.years import images, text


def proposed(folder, tmp_path):
    path = tmp_path / "proposed.yaml"
    path.write_text(propose(folder, "mine"))
    return resolve(load(path)), path.read_text()


@pytest.mark.parametrize("kind", COMPETITIONS)
def test_a_competition_gets_a_recipe_that_loads(tmp_path, kind):
    pictures, files, _ = COMPETITIONS[kind]
    folder = tmp_path / "competition"
    images(folder, *pictures)
    for name, lines in files.items():
        text(folder / name, *lines)
    recipe, _ = proposed(folder, tmp_path)
    assert recipe.data.layout == "kaggle" and recipe.data.image_size == 32
    assert recipe.submission.sample == "sample_submission.csv"
    sample = files["sample_submission.csv"]
    words, columns = len(sample[1].split(",")[1].split()), len(sample[0].split(","))
    due = "log_loss" if columns > 2 else f"map_at_{words}" if words > 1 else "accuracy"
    assert recipe.stages["classify"].monitor == due


@pytest.mark.parametrize(("large", "sampler"), [(19, "shuffle"), (20, "balanced")])
def test_uneven_classes_are_drawn_in_balance(tmp_path, large, sampler):
    names = [f"{i:03d}" for i in range(large + 2)]
    images(tmp_path / "c", *(f"train/{name}.jpg" for name in names))
    rows = [f"{name},{'few' if i < 2 else 'many'}" for i, name in enumerate(names)]
    text(tmp_path / "c" / "train.csv", "id,label", *rows)
    recipe, written = proposed(tmp_path / "c", tmp_path)
    assert recipe.stages["classify"].sampler.kind == sampler
    said = "# the largest class has 20 images, the smallest 2"
    assert (said in written) == (sampler == "balanced")


def test_groups_of_one_class_stay_on_one_side(tmp_path):
    images(tmp_path / "c", *TRAIN)
    few = [f"{i},{n // 4},g{n // 2}" for n, i in enumerate(IDS)]  # two of each class
    text(tmp_path / "c" / "train.csv", "id,label,track", *few)
    recipe, _ = proposed(tmp_path / "c", tmp_path)
    assert recipe.data.split.by == "stratified"
    images(tmp_path / "d", *(f"train/{i:03d}.jpg" for i in range(24)))
    many = [f"{i:03d},{i // 12},g{i // 2},s" for i in range(24)]
    text(tmp_path / "d" / "train.csv", "id,label,track,site", *many)
    recipe, written = proposed(tmp_path / "d", tmp_path)
    assert (recipe.data.split.by, recipe.data.split.column) == ("stratified_group", "track")
    assert re.search(r"split: .*# 2 images share a track", written)


@pytest.mark.parametrize(
    ("shape", "fit", "said"),
    [((40, 30, 3), "pad", "most are 1.3 times as high as wide"), ((33, 32, 3), "squash", "")],
)
def test_the_aspect_of_photos_that_are_no_squares_is_kept(tmp_path, shape, fit, said):
    for k in range(8):
        path = tmp_path / "set" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture(k, shape if k else (20, 60, 3)))
    recipe, written = proposed(tmp_path / "set", tmp_path)
    assert recipe.data.fit == fit and said in written
    assert ("fit: pad" in written) == (fit == "pad") and "squeezed" not in written


@pytest.mark.parametrize(("name", "run"), [("a b(1)", "a-b-1"), ("--", "run"), ("x.y_z-", "x.y_z")])
def test_a_run_is_named_after_the_folder(tmp_path, name, run):
    assert run_name(tmp_path / name) == run


@pytest.mark.slow
def test_a_folder_is_trained_and_the_same_command_continues(tmp_path, demo_root, command):
    changes = (f"runs={tmp_path}/runs", "name=mine", f"data.cache={tmp_path}/cache")
    done = command("train.py", str(demo_root), *changes, "train.minutes=0.02", "--json")
    assert done.returncode == 0, done.stderr
    assert "classify" in json.loads(done.stdout)["stages"]
    proposal = tmp_path / "runs" / "mine" / "proposed.yaml"
    assert "layout: hw2p2" in proposal.read_text()
    again = command("train.py", str(demo_root), *changes, "train.minutes=0.02")
    assert again.returncode == 0 and proposal.read_text() in again.stdout
    assert "already finished" in again.stderr
    done = command("verify.py", str(tmp_path / "runs" / "mine"))
    assert done.returncode == 0, done.stderr


def test_a_folder_without_a_layout_is_one_line(tmp_path, command):
    (tmp_path / "empty").mkdir()
    done = command("train.py", str(tmp_path / "empty"), f"runs={tmp_path}/runs")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "runs").exists()
