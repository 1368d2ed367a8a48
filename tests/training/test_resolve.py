"""The names of a recipe are resolved by the rooms that own them."""

import pytest

from starter.errors import UserError
from starter.recipe import load, to_yaml
from starter.recipe.named import problem
from starter.training import resolve as resolving


def test_a_resolved_recipe_stays_as_it_is(tmp_path):
    recipe = resolving.resolve(load("configs/smoke.yaml"))
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(recipe))
    assert resolving.resolve(recipe) == recipe == resolving.resolve(load(path))


def test_a_rooms_mistakes_are_told_where_they_are_written(monkeypatch):
    """A name in `train` is told once, as train's, at the command line or in its file."""

    def check(section):
        return [problem(section, "monitor", "no such metric")]

    monkeypatch.setattr(resolving, "NAMES_OF_TRAIN", (check,))
    with pytest.raises(UserError) as caught:
        resolving.resolve(load("configs/smoke.yaml", ["train.monitor=auc"]))
    assert str(caught.value) == "command line: train.monitor: no such metric"
