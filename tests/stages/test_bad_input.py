"""Bad input through the public command: one line, exit code 2, no traceback, nothing written."""

import re
import shutil

import pytest

from starter.runs.folder import RunFolder

pytestmark = pytest.mark.slow


@pytest.fixture
def broken(tmp_path, demo_root):
    """A copy of the competition to harm."""
    root = tmp_path / "broken"
    shutil.copytree(demo_root, root)
    return root


def first_image(root, split="train"):
    return sorted((root / "cls_data" / split / "images").iterdir())[0]


def replace_line(path, number, text):
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines) + "\n")


def drop_class(root):
    path = root / "cls_data" / "train" / "labels.txt"
    lines = [line for line in path.read_text().splitlines() if not line.endswith(" 3")]
    path.write_text("\n".join(lines) + "\n")


HARM = {
    "missing root": (shutil.rmtree, "broken"),
    "missing split": (lambda root: shutil.rmtree(root / "cls_data" / "train"), "train"),
    "absent image in a pair": (
        lambda root: replace_line(root / "val_pairs.txt", 7, "nobody.jpg noone.jpg 1"),
        "val_pairs.txt:7",
    ),
    "label out of range": (
        lambda root: replace_line(root / "cls_data/dev/labels.txt", 2, "dev_000001.jpg 99"),
        "labels.txt:2",
    ),
    "label that is no number": (
        lambda root: replace_line(root / "cls_data/train/labels.txt", 3, "train_000002.jpg bob"),
        "labels.txt:3",
    ),
    "class without images": (drop_class, "3"),
    "empty image": (lambda root: first_image(root).write_bytes(b""), "train_"),
    "truncated image": (
        lambda root: first_image(root).write_bytes(first_image(root).read_bytes()[:200]),
        "train_",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_bad_data(harm, broken, tiny_recipe, command, tmp_path):
    break_it, named = HARM[harm]
    break_it(broken)
    done = command("train.py", str(tiny_recipe), f"data.root={broken}")
    assert done.returncode == 2, done.stderr
    assert named in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/tiny/*/checkpoints/*"))


SETTINGS = {
    "unknown key": ("trian.epochs=3", "did you mean 'train"),
    "wrong type": ("train.batch_size=many", "train.batch_size"),
    "out of range": ("model.drop_path=1.5", "model.drop_path"),
    "mixup with arcface": ("stages.finetune.mix.mixup=0.2", "mix"),
    "triplet without pk": ("stages.finetune.sampler.kind=shuffle", "pk"),
    "no such transform": ("augment.0.kind=HorizontalFlop", "HorizontalFlip"),
    "no such argument": ("augment.0.strength=3", "strength"),
    "no such backbone": ("model.backbone=resnet81", "resnet18"),
    "no such stage": ("stages.finetune.init=clasify", "clasify"),
    "too many parameters": ("rules.max_parameters=1000", "1,000"),
    "too few identities for pk": ("train.batch_size=64", "identities"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_bad_recipe(setting, tiny_recipe, command, tmp_path):
    change, named = SETTINGS[setting]
    done = command("train.py", str(tiny_recipe), change)
    assert done.returncode == 2, done.stderr
    assert named in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/tiny/*/checkpoints/*"))


def test_a_transform_that_grey_images_do_not_survive_is_refused_at_once(tiny_recipe, command):
    done = command(
        "train.py", str(tiny_recipe), "data.channels=1", "augment=[{kind: ToRGB, p: 1.0}]"
    )
    assert done.returncode == 2, done.stderr
    assert "augment.0 (ToRGB): makes 16x16x3 of 16x16x1" in done.stderr.splitlines()[-1]
    assert "packing" not in done.stderr


def test_a_parent_that_is_not_there_is_told_before_the_first_stage_trains(
    tiny_recipe, command, tmp_path
):
    done = command("train.py", str(tiny_recipe), f"stages.finetune.init={tmp_path}/no/such")
    assert done.returncode == 2, done.stderr
    assert "stages.finetune.init" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("runs/tiny/*"))


def test_a_diverging_loss_names_the_update_the_term_and_the_rate(tiny_recipe, command):
    done = command(
        "train.py",
        str(tiny_recipe),
        "stages.classify.optimizer.lr=1e12",
        "stages.classify.schedule={kind: constant}",
        "train.checkpoint_steps=2",
        "train.ema=null",
    )
    assert done.returncode == 2, done.stderr
    line = done.stderr.splitlines()[-1]
    assert re.search(r"at update \d, term softmax, learning rate 1e\+12", line)


def test_two_do_not_train_in_one_folder(tiny_recipe, command, tmp_path):
    run = tmp_path / "runs" / "tiny"
    with RunFolder(run).held():
        done = command("train.py", str(tiny_recipe))
        assert done.returncode == 2, done.stderr
        last = done.stderr.splitlines()[-1]
        assert "runs/tiny: another process is training there" in last and "name=" in last
        assert [path.name for path in run.iterdir()] == [".lock"]
        beside = command(
            "train.py",
            str(tiny_recipe),
            "name=beside",
            "stages.classify.epochs=1",
            "--stage",
            "classify",
        )
        assert beside.returncode == 0, beside.stderr
    assert command("train.py", str(tiny_recipe), "--stage", "classify").returncode == 0


def test_verify_before_training_says_what_to_run(command, tmp_path):
    done = command("verify.py", str(tmp_path / "nothing"))
    assert done.returncode == 2 and "no run folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_recipe_is_named(command):
    done = command("train.py", "configs/demo.yml")
    assert done.returncode == 2 and "configs/demo.yaml" in done.stderr
