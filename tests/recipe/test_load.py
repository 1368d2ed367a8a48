"""A recipe that loads, is written, and loads again; and how two of them differ."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from starter.errors import UserError
from starter.recipe import differences, load, to_yaml
from starter.training.resolve import resolve

ROOT = Path(__file__).resolve().parent.parent.parent


def again(recipe, tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(recipe), encoding="utf-8")
    return load(path)


def test_a_stage_has_trains_settings_under_its_own(good):
    recipe = load(good, ["train.ema=0.99", "train.mix.cutmix=0", "stages.finetune.ema=null"])
    classify, finetune = recipe.stages.values()
    assert (classify.epochs, finetune.epochs) == (2, 10)
    assert classify.batch_size == finetune.batch_size == 32
    assert (classify.ema, finetune.ema) == (0.99, None)
    assert list(recipe.stages) == ["classify", "finetune"]


def test_defaults_are_the_schemas(good):
    recipe = load(good)
    assert recipe.seed == 0 and recipe.verify.resamples == 1000
    assert recipe.stages["finetune"].loss[0].weight == 1.0


def test_one_key_of_the_default_optimizer_needs_no_kind(good):
    good.write_text(good.read_text().replace("  optimizer: {kind: sgd, lr: 0.1}\n", ""))
    recipe = resolve(load(good, ["stages.classify.optimizer.lr=0.05"]))
    rates = [(s.optimizer.kind, s.optimizer.lr) for s in recipe.stages.values()]
    assert rates == [("sgd", 0.05), ("sgd", 0.1)]
    assert load(good).train == load(good, ["train.optimizer={}"]).train


def test_the_root_is_left_as_written(good):
    assert load(good, ["data.root=~/x/$HOME"]).data.root == "~/x/$HOME"


def test_a_recipe_cannot_be_changed(good):
    with pytest.raises(ValueError, match="frozen"):
        load(good).seed = 3


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [
            "train.ema=0.999",
            "stages.classify.ema=null",
            "train.optimizer={kind: adamw, lr: 1e-5}",
            "stages.finetune.optimizer={kind: sgd, lr: 1}",
        ],
        ["data.pairs={count: 30}", "augment=[{kind: Affine, rotate: [-1e-7, 1e22]}]"],
        ["train.augment=[]", "stages.classify.augment=[{kind: Blur}]", "verify.tta=[hflip]"],
    ],
)
def test_a_written_recipe_loads_to_an_equal_one(changes, good, tmp_path):
    recipe = load(good, changes)
    assert again(recipe, tmp_path) == recipe


WORDS = r"""
3e-4 1e5 010 yes no on null ~ true True .5 1_000 0x1F 1:30 2026-01-02
= é ' " .inf .nan << !x &a *a { 1. -
"""
TRICKY = [*WORDS.split(), "", " a ", "a: b", "# c", "- d", "a\nb"]


@pytest.mark.parametrize("text", TRICKY, ids=repr)
def test_text_that_looks_like_something_else_stays_text(text, good, tmp_path):
    changes = [
        f"submission.sample={json.dumps(text)}",
        f"augment=[{{kind: Lambda, name: {json.dumps(text)}}}]",
    ]
    recipe = load(good, changes)
    assert recipe.submission.sample == text
    written = to_yaml(recipe)
    assert again(recipe, tmp_path) == recipe
    assert yaml.safe_load(written)["submission"]["sample"] == text  # and to YAML 1.1


def test_differences_of_two_recipes(good):
    old = load(good)
    new = load(
        good,
        [
            "stages.classify.optimizer.lr=0.2",
            "data.pairs={count: 30}",
            "stages.finetune.loss.0.margin=0.5",
            "verify.tta=[hflip]",
            "train.ema=1e-3",
        ],
    )
    assert differences(old, new) == [
        "data.pairs: null -> {count: 30, hold_out: 0.1, hold_out_test: null, seed: 0}",
        "train.ema: null -> 0.001",
        "stages.classify.optimizer.lr: 0.1 -> 0.2",
        "stages.classify.ema: null -> 0.001",
        "stages.finetune.loss.0.margin: 0.3 -> 0.5",
        "stages.finetune.ema: null -> 0.001",
        "verify.tta: [] -> [hflip]",
    ]
    assert differences(old, old) == []


def test_differences_of_plain_values():
    old = {"a": 1, "gone": True, "list": [{"x": 1}], "same": (1, 2)}
    new = {"a": 1.0, "new": None, "list": [{"x": 1}, {"x": 2}], "same": [1, 2]}
    assert differences(old, new) == [
        "a: 1 -> 1.0",  # the stage's hash differs, so the reason must be shown
        "gone: true -> absent",
        "list: [{x: 1}] -> [{x: 1}, {x: 2}]",
        "new: absent -> null",
    ]
    assert differences(json.loads(json.dumps(old)), old) == []


HEAVY = ("torch", "torchvision", "timm", "albumentations", "pandas", "sklearn", "numpy", "cv2")


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def test_a_recipe_error_is_quick_and_imports_nothing_heavy(good):
    code = (
        "import sys\n"
        "from starter.recipe import UserError, load\n"
        "try: load(sys.argv[1], sys.argv[2:])\n"
        "except UserError as error: print(error)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    changes = ["trian.epochs=3", "model.embedding=1", "augment.0.kind=3"]
    command = [sys.executable, "-c", code, str(good), *changes]
    seconds = []
    for _ in range(3):  # of processor time: other work on the machine is not its fault
        start = processor_seconds()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds.append(processor_seconds() - start)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
    assert done.stdout.count("command line: ") == 3
    assert min(seconds) < 0.5, seconds


def test_minutes_take_the_place_of_epochs_and_read_back(good, tmp_path):
    recipe = load(good, ["train.minutes=5"])
    lengths = [(stage.epochs, stage.minutes) for stage in recipe.stages.values()]
    assert lengths == [(2, None), (None, 5.0)]  # classify states its own
    assert again(recipe, tmp_path) == recipe
    with pytest.raises(UserError, match=r"no stage takes it.*set stages\.classify\.minutes"):
        load(good, ["train.minutes=5", "stages.finetune.epochs=3"])
