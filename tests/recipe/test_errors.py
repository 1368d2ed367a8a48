"""What a wrong recipe gets: every mistake at once, at its place, with a hint."""

import pytest

from starter.errors import UserError
from starter.recipe import load
from starter.training.resolve import resolve


def places(message):
    """The lines that start a problem."""
    return [line for line in message.splitlines() if not line.startswith("    ")]


# what is replaced, by what, and the whole first line that comes of it
MISTAKES = {
    "unknown key": (
        "image_size: 32",
        "image_siz: 32",
        "good.yaml:2:25: data.image_siz: unknown key; did you mean 'image_size'? (got 32)",
    ),
    "a key that is gone": (
        "batch_size: 32",
        "augment_on: cpu",
        "good.yaml:7:3: train.augment_on: is no longer a key: images are augmented on the CPU; "
        "leave it out (got 'cpu')",
    ),
    "a key of another section": (
        "name: good",
        "name: good\nepochs: 3",
        "good.yaml:2:1: epochs: unknown key; it is a key of train and stages.NAME (got 3)",
    ),
    "a key of the top level": (
        "model: {",
        "model: {seed: 3, ",
        "good.yaml:5:9: model.seed: unknown key; it is a key of the top level (got 3)",
    ),
    "wrong type": (
        "batch_size: 32",
        "batch_size: many",
        "good.yaml:7:15: train.batch_size: should be a whole number (got 'many')",
    ),
    "out of range": (
        "embedding: 64",
        "embedding: 64, drop_path: 1.5",
        "good.yaml:5:55: model.drop_path: should be less than 1 (got 1.5)",
    ),
    "not finite": (
        "lr: 0.1",
        "lr: .nan",
        "good.yaml:8:30: train.optimizer.lr: should be a finite number (got nan)",
    ),
    "one of a few words": (
        "batch_size: 32",
        "precision: fp61",
        "good.yaml:7:14: train.precision: should be 'auto', 'bf16', 'fp16' or 'fp32'; "
        "did you mean 'fp16'? (got 'fp61')",
    ),
    "unknown kind": (
        "kind: arcface",
        "kind: arcfase",
        "good.yaml:15:19: stages.finetune.loss.0.kind: no such loss; did you mean 'arcface'? "
        "(got 'arcfase')",
    ),
    "no kind": (
        "kind: arcface, margin",
        "margin",
        "good.yaml:15:12: stages.finetune.loss.0.kind: is required: which class; the other keys "
        "are its",
    ),
    "a key of another kind": (
        "[{kind: softmax}]",
        "[{kind: softmax, margn: 1}]",
        "good.yaml:12:28: stages.classify.loss.0.margn: unknown key; known here: "
        "class_weights, label_smoothing (got 1)",
    ),
    "two types, neither": (
        "{kind: softmax}",
        "{kind: triplet, margin: hard}",
        "good.yaml:12:36: stages.classify.loss.0.margin: should be a number; or should be 'soft' "
        "(got 'hard')",
    ),
    "a key of a kind that is not stated": (
        "{kind: sgd, lr: 0.1}",
        "{betas: [0.9, 0.99]}",
        "good.yaml:8:15: train.optimizer.betas: unknown key; known here: lr, momentum, nesterov, "
        "weight_decay (got [0.9, 0.99])",
    ),
    "a section that is no section": (
        "model: {backbone: resnet18, embedding: 64}",
        "model: resnet18",
        "good.yaml:5:8: model: should be a section of keys (got 'resnet18')",
    ),
    "a list that is no list": (
        "[{kind: softmax}]",
        "{kind: softmax}",
        "good.yaml:12:11: stages.classify.loss: should be a list (got {'kind': 'softmax'})",
    ),
    "an empty list": (
        "[{kind: softmax}]",
        "[]",
        "good.yaml:12:11: stages.classify.loss: should have at least 1 item, not 0 (got [])",
    ),
    "data.root is missing": (
        "root: somewhere, ",
        "",
        "good.yaml:2:1: data.root: is required: the folder; ~ and $NAME are expanded",
    ),
    "name is missing": (
        "name: good\n",
        "",
        "good.yaml: name: is required: the run folder: runs/<name>",
    ),
    "no loss": (
        "    loss: [{kind: softmax}]\n",
        "",
        "good.yaml:10:3: stages.classify: a stage needs a loss: list, for example "
        "[{kind: softmax}]",
    ),
    "a bad stage name": (
        "  classify:\n",
        "  class.ify:\n",
        "good.yaml:10:3: stages.class.ify: this name may not be used: letters, digits, _ and -, "
        "a letter or digit first",
    ),
    "a stage called verify": (
        "  classify:\n",
        "  verify:\n",
        "good.yaml:10:3: stages.verify: the folder verify/ of a run is verify.py's; give the "
        "stage another name",
    ),
    "no earlier stage": (
        "init: classify",
        "init: clasify",
        "good.yaml:14:11: stages.finetune.init: no earlier stage, and no path of a run's stage; "
        "did you mean 'classify'? (earlier stages: classify) (got 'clasify')",
    ),
    "no such stage to verify": (
        "name: good\n",
        "name: good\nverify: {stage: fintune}\n",
        "good.yaml:2:17: verify.stage: no stage; did you mean 'finetune'? "
        "(stages: classify, finetune) (got 'fintune')",
    ),
    "mixup with arcface": (
        "margin: 0.3}]",
        "margin: 0.3}]\n    mix: {mixup: 0.2}",
        "good.yaml:16:10: stages.finetune.mix: mix with arcface: a mixed image has two "
        "classes, not the one; set mix: {mixup: 0, cutmix: 0} or use softmax or normface",
    ),
    "triplet without pk": (
        "kind: arcface",
        "kind: triplet",
        "good.yaml:13:3: stages.finetune.sampler: triplet needs several images of each identity "
        "in a batch; set sampler: {kind: pk, images: 4}",
    ),
    "nothing that parts classes": (
        "{kind: softmax}",
        "{kind: center}",
        "good.yaml:12:11: stages.classify.loss: center alone pulls all classes onto one point; "
        "add a term that parts them, for example {kind: softmax}",
    ),
    "a loss of the whole batch in parts": (
        "[{kind: softmax}]",
        "[{kind: proxy_anchor}]\n    micro_batch: 8",
        "good.yaml:13:18: stages.classify.micro_batch: proxy_anchor looks at the whole batch, so "
        "micro_batch would change the loss; leave micro_batch out",
    ),
    "magface that does not converge": (
        "{kind: arcface, margin: 0.3}",
        "{kind: magface, scale: 64, norm_weight: 20}",
        "good.yaml:15:52: stages.finetune.loss.0.norm_weight: 20.0 is below s k u^2 l^2 / "
        "(u^2 - l^2) = 22.59, where the margin would pull lengths down (MagFace, lemma 1); raise "
        "it or lower scale",
    ),
    "class margins the wrong way round": (
        "margin: 0.3",
        "class_margins: {least: 0.6}",
        "good.yaml:15:51: stages.finetune.loss.0.class_margins.least: least 0.6 is above most "
        "0.5: rare classes get the larger one",
    ),
    "contrastive with nothing to part": (
        "{kind: softmax}]",
        "{kind: contrastive, positive_margin: 1.5}]\n    sampler: {kind: pk}",
        "good.yaml:12:49: stages.classify.loss.0.positive_margin: 1.5 is not below margin 1.0: "
        "nothing to part",
    ),
    "batches that do not divide": (
        "batch_size: 32",
        "batch_size: 32\n  micro_batch: 5",
        "good.yaml:7:15: stages.classify.batch_size: 32 is not a multiple of micro_batch 5",
    ),
    "two lengths": (
        "batch_size: 32",
        "batch_size: 32\n  minutes: 5\n  epochs: 40",
        "good.yaml:9:11: stages.finetune.epochs: 40 besides minutes: 5, which measures how many "
        "epochs fit; leave epochs out, or minutes to have this number",
    ),
    "statistics of other channels": (
        "root: somewhere",
        "root: x, mean: [0.1, 0.2]",
        "good.yaml:2:23: data.mean: should have 1 or 3 values: one for each channel "
        "(got [0.1, 0.2])",
    ),
    "from scratch, pretrained": (
        "{backbone: resnet18",
        "{pretrained: true, backbone: timm/resnet18",
        "good.yaml:5:21: model.pretrained: rules.from_scratch forbids it; leave it out, or set the "
        "rule to false",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_at_its_place(case, spoil, good):
    old, new, expected = MISTAKES[case]
    changes = ["rules.from_scratch=true"] if "scratch" in case else []
    message = spoil(old, new, *changes)
    first, *rest = message.splitlines()
    assert first == expected
    said = [line.partition(": ")[2] for line in places(message)]
    assert len(said) == len(set(said))  # each once
    numbers = first.split(":")[1:3]
    if all(n.isdigit() for n in numbers):  # the line as it is written, the caret under the column
        line, column = map(int, numbers)
        assert rest[0] == "    " + good.read_text().splitlines()[line - 1]
        assert rest[1] == "    " + " " * (column - 1) + "^"


def test_a_section_missing_altogether_is_told_once(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("seed: 0\n")
    with pytest.raises(UserError) as error:
        load(path)
    lines = str(error.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["name", "data", "stages"]


def test_all_mistakes_at_once_in_the_order_of_the_file(spoil):
    message = spoil(
        "data: {root: somewhere, image_size: 32}",
        "data: {image_size: big, layot: mnist}\nmodle: {}",
        "stages.finetune.loss.0.weight=-9",
        "stages.finetun.epochs=3",
        "train.ema=[",
        "augment.0.kind=3",
    )
    assert [line.split(": ")[:2] for line in places(message)] == [
        ["good.yaml:2:1", "data.root"],
        ["good.yaml:2:20", "data.image_size"],
        ["good.yaml:2:25", "data.layot"],
        ["good.yaml:3:1", "modle"],
        ["command line", "augment.0.kind"],
        ["command line", "stages.finetune.loss.0.weight"],
        ["command line", "stages.finetun.epochs"],
        ["command line", "train.ema:1:2"],
    ]


def test_the_command_line_comes_last_whatever_the_file_is_called(good, monkeypatch):
    good.with_name("zoo.yaml").write_text(good.read_text().replace("32", "x"))
    monkeypatch.chdir(good.parent)
    with pytest.raises(UserError) as error:
        load("zoo.yaml", ["seed=x"])
    found = [line.split(": ")[0] for line in places(str(error.value))]
    assert found == ["zoo.yaml:2:37", "zoo.yaml:7:15", "command line"]


def test_a_mistake_in_train_is_told_once_and_as_trains(spoil):
    message = spoil("batch_size: 32", "batch_size: -1\n  emma: 0.9\n  augment: [{kind: 3}]")
    assert [line.split(": ")[:2] for line in places(message)] == [
        ["good.yaml:7:15", "train.batch_size"],
        ["good.yaml:8:3", "train.emma"],
        ["good.yaml:9:20", "train.augment.0.kind"],
    ]


def test_a_mistake_in_train_that_every_stage_overrides_is_still_told(spoil):
    message = spoil(
        "batch_size: 32",
        "batch_size: 1",
        "stages.classify.batch_size=8",
        "stages.finetune.batch_size=8",
    )
    assert [line.split(": ")[1] for line in places(message)] == ["train.batch_size"]


def test_what_fits_no_stage_is_told_of_the_stage_not_of_train(spoil):
    message = spoil("batch_size: 32", "batch_size: 32\n  mix: {mixup: 0.2}")
    assert [line.split(": ")[:2] for line in places(message)] == [
        ["good.yaml:8:8", "stages.finetune.mix"]
    ]


def test_train_alone_need_not_make_a_stage(good):
    """Triplet without pk, and no loss at all, are questions for a stage."""
    changes = ["train.loss=[{kind: triplet}]", "stages.classify.loss=[{kind: softmax}]"]
    recipe = load(good, changes)
    assert recipe.train.loss[0].kind == "triplet"


def test_a_mistake_in_a_base_or_overlay_names_that_file(tmp_path, good):
    child = tmp_path / "child.yaml"
    child.write_text("base: good.yaml\nmodel: {drop_path: 2}\n")
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("\ndata: {image_size: 1}\n")
    good.write_text(good.read_text().replace("embedding: 64", "embedding: 0"))
    with pytest.raises(UserError) as error:
        load(child, [str(overlay)])
    found = {line.split(": ")[0].rpartition("/")[2] for line in places(str(error.value))}
    assert found == {"child.yaml:2:20", "overlay.yaml:2:20", "good.yaml:5:40"}


def test_an_overlay_repairs_what_lies_under_it(tmp_path, good):
    good.write_text(good.read_text().replace("lr: 0.1", "lr: fast"))
    overlay = tmp_path / "o.yaml"
    overlay.write_text("train: {optimizer: {lr: 0.5}}")
    assert resolve(load(good, [str(overlay)])).stages["classify"].optimizer.lr == 0.5


def test_overlays_and_overrides_count_in_order(tmp_path, good):
    overlay = tmp_path / "o.yaml"
    overlay.write_text("seed: 5")
    assert load(good, ["seed=3", str(overlay)]).seed == 5
    assert load(good, [str(overlay), "seed=3"]).seed == 3


@pytest.mark.parametrize("name", ["a=b.yaml", "overlay", "overlay.txt"])
def test_any_file_that_is_there_is_an_overlay(name, tmp_path, good):
    overlay = tmp_path / name
    overlay.write_text("seed: 5")
    assert load(good, [str(overlay)]).seed == 5


def test_an_override_longer_than_a_file_name_may_be_is_an_override(good):
    steps = ", ".join(["{kind: HorizontalFlip, p: 0.5}"] * 20)
    assert len(load(good, [f"augment=[{steps}]"]).augment) == 20


def test_label_smoothing_on_a_margin_is_refused_with_the_reason(good):
    with pytest.raises(UserError, match=r"label_smoothing: a margin is measured to the one true"):
        resolve(load(good, ["train.loss=[{kind: arcface, label_smoothing: 0.1}]"]))


def test_a_missing_overlay_is_a_missing_file(spoil, tmp_path):
    message = spoil("", "", str(tmp_path / "goood.yaml"))
    assert message.endswith("did you mean good.yaml?") and "goood.yaml: no such recipe" in message


def test_a_tab_inside_a_line_leaves_the_caret_under_its_column(spoil):
    message = spoil("root: somewhere, image_size: 32", 'root: "a\tb", image_size: x')
    line, caret = message.splitlines()[1:]
    assert line == '    data: {root: "a\tb", image_size: x}'
    assert (
        caret == "    " + " " * len('data: {root: "a') + "\t" + " " * len('b", image_size: ') + "^"
    )


def test_keys_that_do_not_fit_together_are_told_beside_wrong_ones(good):
    changes = [
        "train.epochs=zero",
        "data.mean=[0.1, 0.2]",
        "stages.classify.loss=[]",
        "data.image_siz=3",
    ]
    with pytest.raises(UserError) as caught:
        load(good, changes)
    assert {line.split(": ")[1] for line in places(str(caught.value))} == {
        "train.epochs",
        "data.mean",
        "stages.classify.loss",
        "data.image_siz",
    }
