"""A good recipe, to be spoiled."""

from pathlib import Path

import pytest

from starter.errors import UserError
from starter.recipe import load
from starter.training.resolve import resolve

GOOD = """\
name: good
data: {root: somewhere, image_size: 32}
augment:
  - {kind: HorizontalFlip, p: 0.5}
model: {backbone: resnet18, embedding: 64}
train:
  batch_size: 32
  optimizer: {kind: sgd, lr: 0.1}
stages:
  classify:
    epochs: 2
    loss: [{kind: softmax}]
  finetune:
    init: classify
    loss: [{kind: arcface, margin: 0.3}]
"""


@pytest.fixture
def good(tmp_path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def spoil(good):
    """Loads the recipe with `old` replaced by `new`; gives the message of the refusal."""

    def refuse(old: str = "", new: str = "", *changes: str) -> str:
        assert GOOD.count(old) == 1 or not old
        good.write_text(GOOD.replace(old, new) if old else GOOD)
        with pytest.raises(UserError) as error:
            resolve(load(good, changes))
        return str(error.value).replace(good.as_posix(), "good.yaml")

    return refuse
