"""Every recipe in configs/ loads, and the schema for editors says the same as the loader."""

import itertools
import json
import re
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from starter.recipe import load, to_yaml
from starter.recipe.describe import json_schema_text, key_tables
from starter.recipe.reader import read_file, read_text
from starter.recipe.schema import Recipe
from starter.recipe.schema.base import sections
from starter.training.resolve import KINDS

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = sorted(ROOT.glob("configs/*.yaml"))
UNTESTED = sorted(ROOT.glob("configs/untested/*.yaml"))
CONFIGS = RUN + UNTESTED


def test_there_are_recipes():
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_recipe_loads_and_loads_again(path, tmp_path):
    recipe = load(path)
    assert recipe.name == path.stem  # two recipes never share a run folder
    written = tmp_path / "written.yaml"
    written.write_text(to_yaml(recipe), encoding="utf-8")
    assert load(written) == recipe


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_recipe_opens_with_its_command_and_what_to_expect_of_it(path):
    """The score, the time and the hardware, or that nobody has run it yet."""
    lines = path.read_text(encoding="utf-8").splitlines()
    opening = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert f"train.py {path.relative_to(ROOT)}" in opening or f"make {path.stem}" in opening
    measured = re.search(r"\b(seconds|minutes?|hours?)\b", opening) and re.search(
        r"two cores|CPU|GPU|T4|H100", opening
    )
    not_run = lines[0].startswith("# Not yet run")
    assert not_run == (path in UNTESTED or path.stem == "hw2p2")  # the one that others lie over
    assert not_run or measured, opening


def test_the_schema_for_editors_is_current():
    path = ROOT / "configs" / "schema.json"
    assert path.read_text(encoding="utf-8") == json_schema_text(KINDS), (
        "run: python -m starter.recipe"
    )


def test_the_page_of_keys_is_current():
    path = ROOT / "docs" / "recipe.md"
    assert path.read_text(encoding="utf-8") == key_tables(KINDS), "run: python -m starter.recipe"


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(json_schema_text(KINDS))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_editors_accept_every_recipe(path, validator):
    assert [error.message for error in validator.iter_errors(read_file(path).value)] == []


@pytest.mark.parametrize(
    "text",
    [
        "base: x.yaml",
        "base: [x.yaml, y.yaml]",
        "train: {optimizer: {lr: 0.1}}",
        "stages: {finetune: {sampler: {images: 8}}}",
        "data: {image_size: 64}",
        "train: {loss: [{kind: triplet, margin: soft}]}",
    ],
)
def test_editors_accept_a_part_of_a_recipe(text, validator):
    assert validator.is_valid(read_text(text, "x").value)


@pytest.mark.parametrize(
    "text",
    [
        "bas: x.yaml",
        "data: {image_siz: 3}",
        "train: {optimizer: {kind: 3}}",
        "train: {loss: [{margin: 0.1}]}",
        "train: {loss: [{kind: arcfase}]}",
        "augment: [{p: 1}]",
        "model: {drop_path: 1.5}",
    ],
)
def test_editors_mark_mistakes(text, validator):
    assert not validator.is_valid(read_text(text, "x").value)


def every_section(kind=Recipe, found=None):
    found = {} if found is None else found
    for section in sections(kind, None):
        if section not in found:
            found[section] = None
            for field in section.model_fields.values():
                every_section(field.annotation, found)
    for argument in typing.get_args(kind):
        every_section(argument, found)
    return list(found)


def test_every_key_has_a_meaning_in_one_line_and_every_section_too():
    all_sections = every_section()
    assert len(all_sections) > 20 and all(issubclass(s, BaseModel) for s in all_sections)
    for section in all_sections:
        assert section.__doc__, section
        for name, field in section.model_fields.items():
            text = field.description
            assert text and "\n" not in text and len(text) < 120, (section.__name__, name, text)
            assert f"`{name}`" in key_tables(KINDS)


@pytest.mark.parametrize("recipe", ["hw2p2", "faces64"])
@pytest.mark.parametrize("overlay", sorted((ROOT / "configs/hardware").glob("*.yaml")), ids=str)
def test_hardware_overlays_lay_over_recipes_and_leave_what_counts(overlay, recipe):
    """They may move how fast and in what memory, not what is learned."""
    from starter.recipe import differences

    path = ROOT / "configs" / f"{recipe}.yaml"
    changed = {
        line.split(":")[0].split(".", 2 if line.startswith("stages") else 1)[-1]
        for line in differences(load(path), load(path, [str(overlay)]))
    }
    assert changed <= {
        "workers",
        "precision",
        "micro_batch",
        "grad_checkpointing",
        "compile",
        "channels_last",
        "batch_size",
    }
    assert load(path, [str(overlay)]).train.batch_size == load(path).train.batch_size
