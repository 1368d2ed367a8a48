"""A user's own names: where their file is looked for, and how they are refused."""

import pytest

from starter.errors import UserError
from starter.recipe import load
from starter.recipe.own import load_own
from starter.training.resolve import resolve

LOSS = """
from typing import Annotated
from pydantic import Field
from starter.losses import Loss

class Mine(Loss):
    mines_pairs = True
    def __init__(self, *, rate: Annotated[float, Field(gt=0, description="r")] = 0.5):
        super().__init__()

class NoLoss:
    pass
"""


@pytest.fixture
def mine(good):
    good.with_name("mine.py").write_text(LOSS)
    return lambda term, *changes: resolve(
        load(_with(good, term), ["stages.classify.sampler={kind: pk}", *changes])
    )


def _with(good, term):
    good.write_text(good.read_text().replace("{kind: softmax}", term))
    return good


def test_a_file_beside_the_recipe_is_found_and_its_defaults_are_filled_in(mine, good, monkeypatch):
    term = mine("{kind: mine.py:Mine}").stages["classify"].loss[0]
    assert term.options == {"rate": 0.5} and term.kind.endswith("mine.py:Mine")
    monkeypatch.chdir(good.parent)
    assert resolve(load(good.name, ["stages.classify.sampler={kind: pk}"]))


@pytest.mark.parametrize(
    ("term", "changes", "place", "words"),
    [
        ("{kind: mine.py:Mne}", (), "loss.0.kind", "Mine"),
        ("{kind: mine.py:NoLoss}", (), "loss.0.kind", "starter.losses.Loss"),
        ("{kind: gone.py:Mine}", (), "loss.0.kind", "gone.py"),
        ("{kind: mine.py:Mine, rat: 1}", (), "loss.0.rat", "'rate'"),
        ("{kind: mine.py:Mine, rate: -1}", (), "loss.0.rate", "greater than 0"),
        ("{kind: mine.py:Mine}", ("stages.classify.mix={mixup: 0.2}",), "mix", "mine.py:Mine"),
        (
            "{kind: mine.py:Mine}",
            ("stages.classify.sampler={kind: shuffle}",),
            "sampler",
            "kind: pk",
        ),
        ("{kind: mine.py:Mine}", ("stages.classify.micro_batch=8",), "micro_batch", "mine.py"),
    ],
)
def test_what_is_wrong_with_an_own_loss_is_told_at_its_place(mine, term, changes, place, words):
    with pytest.raises(UserError) as caught:
        mine(term, *changes)
    first = str(caught.value).splitlines()[0]
    assert f"stages.classify.{place}: " in first and words in first
    assert first.count("good.yaml:12:") == (not changes)


def test_nothing_is_run_out_of_a_run_folder(tmp_path):
    run = tmp_path / "runs" / "theirs"
    run.mkdir(parents=True)
    for name in ("recipe.yaml", "environment.json", "mine.py"):
        (run / name).write_text("raise SystemExit('it ran')")
    with pytest.raises(UserError, match="run folder"):
        load_own(f"{run / 'mine.py'}:Mine")
