"""base:, overlays, key=value, and train under every stage."""

import random

import pytest

from starter.errors import UserError
from starter.recipe.merge import apply_override, lay_over, read_with_bases, stages_over_train
from starter.recipe.reader import Document, read_text


def merged(*texts):
    result = Document({})
    for i, text in enumerate(texts):
        lay_over(result, read_text(text, f"file{i}"))
    return result


def test_mappings_merge_and_lists_replace():
    under = "a: {b: {c: 1, d: 2}, e: [1, 2, 3]}\nf: 1"
    over = "a: {b: {d: 3, g: 4}, e: [9]}"
    expected = {"a": {"b": {"c": 1, "d": 3, "g": 4}, "e": [9]}, "f": 1}
    assert merged(under, over).value == expected


KINDS = {
    "another kind": ("s: {kind: a, x: 1}", "s: {kind: b, y: 2}", {"kind": "b", "y": 2}),
    "the same kind": ("s: {kind: a, x: 1}", "s: {kind: a, y: 2}", {"kind": "a", "x": 1, "y": 2}),
    "kind unsaid above": ("s: {kind: a, x: 1}", "s: {x: 2}", {"kind": "a", "x": 2}),
    "kind unsaid below": ("s: {x: 1}", "s: {kind: a}", {"x": 1, "kind": "a"}),
    "null": ("s: {kind: a, x: 1}", "s: null", None),
    "section over a value": ("s: 3", "s: {x: 1}", {"x": 1}),
}


@pytest.mark.parametrize("case", KINDS)
def test_a_section_whose_kind_changes_replaces_the_old_one(case):
    under, over, expected = KINDS[case]
    assert merged(under, over).value == {"s": expected}


def plain_merge(old, new):
    """The rule in its simplest form, to compare with."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    if "kind" in old and "kind" in new and old["kind"] != new["kind"]:
        return new
    return old | {k: plain_merge(old[k], v) if k in old else v for k, v in new.items()}


def random_value(rng, depth, word):
    if depth == 0 or rng.random() < 0.25:
        return rng.choice([word, [word, word], [{"p": word}]])
    keys = rng.sample(["p", "q", "r", "kind"], k=rng.randint(1, 4))
    return {
        k: rng.choice("ab") if k == "kind" else random_value(rng, depth - 1, word) for k in keys
    }


def leaves(value, path=()):
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in pairs:
            yield from leaves(child, (*path, key))
    else:
        yield path, value


@pytest.mark.parametrize("seed", range(60))
def test_merging_against_the_plain_rule_and_every_place_names_its_file(seed):
    import yaml

    rng = random.Random(seed)
    expected, result = {}, Document({})
    for i in range(3):
        value = {k: random_value(rng, 3, f"file{i}") for k in "xyz" if rng.random() < 0.8}
        if not value:
            continue
        lay_over(result, read_text(yaml.safe_dump(value), f"file{i}"))
        expected = plain_merge(expected, value)
    assert result.value == expected
    everything = {path for path, _ in leaves(expected)}
    for path, value in leaves(expected):
        if path and path[-1] != "kind" and value:
            assert result.values[path].source == value
    for places in (result.keys, result.values):  # nothing is left of what was replaced
        assert all(any(e[: len(p)] == p for e in everything) for p in places)


def test_base_to_any_depth_and_several(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.yaml").write_text("x: {a: 1, b: 1, c: 1, d: 1}")
    (tmp_path / "deep" / "b.yaml").write_text("base: a.yaml\nx: {b: 2}")
    (tmp_path / "c.yaml").write_text("x: {c: 3}")
    (tmp_path / "d.yaml").write_text("base: [deep/b.yaml, c.yaml]\nx: {d: 4}")
    document = read_with_bases(tmp_path / "d.yaml")
    assert document.value == {"x": {"a": 1, "b": 2, "c": 3, "d": 4}}
    names = [document.values["x", k].source.split("/")[-1] for k in "abcd"]
    assert names == ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]


def test_one_file_may_be_the_base_of_two(tmp_path):
    (tmp_path / "a.yaml").write_text("x: 1")
    (tmp_path / "b.yaml").write_text("base: a.yaml\ny: 1")
    (tmp_path / "c.yaml").write_text("base: [a.yaml, b.yaml]")
    assert read_with_bases(tmp_path / "c.yaml").value == {"x": 1, "y": 1}


BASES = {
    "itself": ("base: a.yaml", r"a\.yaml:1:7: base: a.yaml leads back to itself: a.yaml -> a"),
    "round about": ("base: b.yaml", r"b\.yaml:1:7: .* a\.yaml -> b\.yaml -> a\.yaml"),
    "missing": ("base: bb.yaml", r"a\.yaml:1:7: base: no file .*bb\.yaml; did you mean 'b\.yaml'"),
    "no path": ("name: x\nbase: [3]", r"a\.yaml:2:7: base: a path or a list of paths \(got 3\)"),
    "null": ("base:", r"base: a path or a list of paths \(got None\)"),
}


@pytest.mark.parametrize("case", BASES)
def test_bad_bases(case, tmp_path):
    text, message = BASES[case]
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("base: a.yaml")
    with pytest.raises(UserError, match=message) as error:
        read_with_bases(tmp_path / "a.yaml")
    assert "\n" not in str(error.value)


TEXT = """\
a: {b: [{c: 1}, {c: 2}], d: word}
train: {loss: [{kind: softmax, weight: 1}], optimizer: {kind: sgd, lr: 0.1, momentum: 0.5}}
stages: {one: {epochs: 3}, two: }
"""


def overridden(*changes):
    document = read_text(TEXT, "f")
    for change in changes:
        apply_override(document, change)
    return document


def at(document, *path):
    value = document.value
    for part in path:
        value = value[part]
    return value


@pytest.mark.parametrize(
    "change, path, expected",
    [
        ("a.b.1.c=3e-4", ("a", "b", 1, "c"), 3e-4),
        ("a.b=[1, 2]", ("a", "b"), [1, 2]),
        ("a.d={x: true}", ("a", "d"), {"x": True}),
        ("a.d=", ("a", "d"), None),
        ("a.d=x=y", ("a", "d"), "x=y"),
        ("new.deep.key=010", ("new", "deep", "key"), 10),
        ("a.d=no", ("a", "d"), "no"),
        ("stages.two.epochs=5", ("stages", "two"), {"epochs": 5}),
        ("stages.three={epochs: 1}", ("stages", "three"), {"epochs": 1}),
    ],
)
def test_overrides(change, path, expected):
    document = overridden(change)
    assert at(document, *path) == expected
    assert str(document.values[path[: change.partition("=")[0].count(".") + 1]]) == "command line"


def test_an_override_into_a_list_that_train_gives_changes_that_stage_only():
    document = overridden("stages.one.loss.0.weight=9")
    assert at(document, "stages", "one", "loss") == [{"kind": "softmax", "weight": 9}]
    assert at(document, "train", "loss") == [{"kind": "softmax", "weight": 1}]
    assert document.values["stages", "one", "loss", 0, "kind"].source == "f"


def test_another_kind_drops_the_old_kinds_keys_but_not_those_of_the_command_line():
    document = overridden("train.optimizer.kind=adamw")
    assert at(document, "train", "optimizer") == {"kind": "adamw"}
    document = overridden("train.optimizer.lr=0.002", "train.optimizer.kind=adamw")
    assert at(document, "train", "optimizer") == {"kind": "adamw", "lr": 0.002}
    document = overridden("train.optimizer.kind=sgd")
    assert at(document, "train", "optimizer") == {"kind": "sgd", "lr": 0.1, "momentum": 0.5}


@pytest.mark.parametrize(
    "under, over, expected",
    [
        ({"epochs": 40, "seed": 1}, {"minutes": 5}, {"minutes": 5, "seed": 1}),
        ({"minutes": 5}, {"epochs": 40}, {"epochs": 40}),
        ({"minutes": 5}, {"minutes": 6, "epochs": 40}, {"minutes": 6, "epochs": 40}),
        ({"epochs": 40}, {"minutes": None}, {"epochs": 40, "minutes": None}),
    ],
)
def test_minutes_laid_over_epochs_replace_them_and_the_other_way(under, over, expected):
    document, other = Document({"train": under}), Document({"train": over})
    lay_over(document, other)
    assert document.value == {"train": expected}


def test_a_length_on_the_command_line_replaces_the_files():
    document = overridden("stages.one.minutes=5")
    assert at(document, "stages", "one") == {"minutes": 5}
    both = overridden("stages.one.minutes=5", "stages.one.epochs=4")
    assert at(both, "stages", "one") == {"minutes": 5, "epochs": 4}  # which the schema refuses


PLAIN = "train: {optimizer: {lr: 0.1}}\nstages: {one: , two: {optimizer: {kind: adamw}}}"


def test_an_optimizer_without_a_kind_is_the_default_kind_in_every_merge():
    """sgd's lr must not become adamw's."""
    stages = stages_over_train(read_text(PLAIN, "f")).value["stages"]
    assert stages["one"]["optimizer"] == {"lr": 0.1}
    assert stages["two"]["optimizer"] == {"kind": "adamw"}
    document = read_text(PLAIN, "f")
    apply_override(document, "train.optimizer.kind=adamw")
    assert document.value["train"]["optimizer"] == {"kind": "adamw"}
    document = read_text(PLAIN, "f")
    lay_over(document, read_text("train: {optimizer: {kind: adamw, weight_decay: 0.1}}", "g"))
    assert document.value["train"]["optimizer"] == {"kind": "adamw", "weight_decay": 0.1}
    document = read_text(PLAIN, "f")
    lay_over(document, read_text("train: {optimizer: {kind: sgd, momentum: 0.8}}", "g"))
    assert document.value["train"]["optimizer"] == {"lr": 0.1, "kind": "sgd", "momentum": 0.8}


REFUSED = {
    "a.b.2.c=1": "the list a.b has items 0 to 1, there is no '2'",
    "a.b.x.c=1": "there is no 'x'",
    "a.b.-1=1": "there is no '-1'",
    "a.d.e=1": "a.d is 'word', not a section",
    "stages.on.epochs=1": "no stage 'on'; did you mean 'one'? (stages: one, two)",
    "new.0.x=1": "there is no list new",
    "a.d=[": "not YAML",
    "a.d": "neither a YAML file nor key.path=value",
    "=3": "neither a YAML file nor key.path=value",
}


@pytest.mark.parametrize("change", REFUSED)
def test_bad_overrides_say_command_line_and_change_nothing(change):
    document = read_text(TEXT, "f")
    with pytest.raises(UserError) as error:
        apply_override(document, change)
    assert str(error.value).startswith("command line: ") and REFUSED[change] in str(error.value)
    assert document == read_text(TEXT, "f")


def test_train_lies_under_every_stage_and_keeps_its_places():
    text = """\
train: {epochs: 5, mix: {mixup: 0.2}, optimizer: {kind: sgd, lr: 0.1}, loss: [{kind: softmax}]}
stages:
  one: {epochs: 7, optimizer: {lr: 0.3}}
  two: {optimizer: {kind: adamw}, loss: [{kind: arcface}]}
  three:
"""
    document = read_text(text, "f")
    result = stages_over_train(document)
    train = document.value["train"]
    stages = document.value["stages"]
    assert result.value["stages"] == {k: plain_merge(train, v or {}) for k, v in stages.items()}
    assert document == read_text(text, "f")  # the given one is not touched
    assert result.values["stages", "one", "optimizer", "lr"].line == 3
    assert (
        result.values["stages", "one", "optimizer", "kind"]
        == (document.values["train", "optimizer", "kind"])
    )
    assert ("stages", "two", "optimizer", "lr") not in result.values
    assert result.keys["stages", "two"] == document.keys["stages", "two"]
    assert result.value["stages"]["three"]["mix"] is not result.value["train"]["mix"]
