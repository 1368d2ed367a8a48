"""`data.layout: path/to/data.py:read`, and the options of readers, told where they are written."""

import pytest

from starter.data import load_catalog
from starter.errors import UserError
from starter.recipe import load
from starter.stages.run import inputs_of
from starter.training.resolve import resolve
from tests.data.trees import section, write

READER = """\
import csv
import numpy as np
from starter.data import SPLITS, Catalog

def read(root, *, dev_fold: int = 0):
    with open(root / "train.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = tuple(sorted({row["breed"] for row in rows}))
    parts = ["dev" if int(row["fold"]) == dev_fold else "train" for row in rows]
    return Catalog(
        root=root,
        names=[f"photos/{row['id']}.png" for row in rows],
        label_N=np.array([classes.index(row["breed"]) for row in rows]),
        split_N=np.array([SPLITS.index(part) for part in parts]),
        classes=classes,
    )
"""
RECIPE = """\
name: own
data: {{layout: "{layout}", root: {root}, options: {options}}}
stages: {{a: {{loss: [{{kind: softmax}}]}}}}
"""


@pytest.fixture
def dogs(tmp_path):
    rows = [(f"d{i}", "pug" if i % 2 else "beagle", i // 2 % 3) for i in range(12)]
    for i, (name, _, _) in enumerate(rows):
        write(tmp_path / "set" / "photos" / f"{name}.png", i)
    lines = ["id,breed,fold", *(f"{name},{breed},{fold}" for name, breed, fold in rows)]
    (tmp_path / "set" / "train.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "dogs.py").write_text(READER)
    return tmp_path


def recipe_of(folder, layout="dogs.py:read", options="{}"):
    layout = f"{folder}/{layout}" if ".py:" in layout else layout
    path = folder / "own.yaml"
    path.write_text(RECIPE.format(layout=layout, root=folder / "set", options=options))
    return load(path)


def test_a_reader_of_ones_own_makes_the_catalog(dogs):
    recipe = resolve(recipe_of(dogs))
    assert recipe.data.options == {"dev_fold": 0}
    catalog = load_catalog(recipe.data)
    assert catalog.classes == ("beagle", "pug") and catalog.image(0).shape == (8, 8, 3)
    assert [catalog.names[i][-6:-4] for i in catalog.index("dev")] == ["d0", "d1", "d6", "d7"]
    other = load_catalog(recipe_of(dogs, options="{dev_fold: 2}").data)
    assert other.fingerprint() != catalog.fingerprint()
    held = recipe.data.model_copy(update={"pairs": None, "imbalance": 2.0})
    assert len(load_catalog(held)) < len(catalog)


def test_its_text_is_part_of_a_stage(dogs):
    before = inputs_of(recipe_of(dogs), "a", "print", None)
    (dogs / "dogs.py").write_text(READER + "# another text\n")
    assert inputs_of(recipe_of(dogs), "a", "print", None) != before


@pytest.mark.parametrize(
    ("layout", "options", "words"),
    [
        ("dogs.py:read", "{dev_fould: 1}", ":2:*: data.options.dev_fould: unknown key*dev_fold"),
        ("dogs.py:read", "{dev_fold: one}", ":2:*: data.options.dev_fold: should be a whole"),
        ("dogs.py:reed", "{}", "dogs.py has no 'reed'; did you mean 'read'"),
        ("lfw", "{view: 3}", ":2:*: data.options.view: should be"),
        ("cub", "{task: birds}", ":2:*: data.options.task: should be"),
        ("folder", "{}", ":2:*: data.layout: no such layout; did you mean 'folders'"),
    ],
)
def test_mistakes_are_told_where_they_are_written(dogs, layout, options, words):
    with pytest.raises(UserError) as caught:
        resolve(recipe_of(dogs, layout, options))
    place = 0
    for part in words.split("*"):
        assert part in str(caught.value)[place:]
        place = str(caught.value).index(part, place)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    return Catalog(", "    return dict(", "returned dict, not a Catalog"),
        ("for part in parts]", "for part in parts[1:]]", "12 names"),
        ("classes=classes,", "classes=classes[:1],", "below 1, the number of classes"),
        ("classes = tuple", "classes = tupel", "NameError: name 'tupel' is not defined (line 8 of"),
    ],
)
def test_mistakes_of_the_reader(dogs, old, new, words):
    (dogs / "dogs.py").write_text(READER.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_catalog(recipe_of(dogs).data)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_that_its_reader_does_not_take_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data\.splits: layout lfw takes no names of splits"):
        load_catalog(section(tmp_path, "lfw", splits={"dev": "x"}))
