"""One's own network embeds with the text that it was trained with, or with --trust."""

import pytest

from starter.api import train, verify
from starter.errors import UserError
from starter.recipe import load

pytestmark = pytest.mark.slow

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, in_channels, drop_path=0.0):
        super().__init__(nn.Conv2d(in_channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
"""


def test_another_text_is_refused_unless_it_is_trusted(tmp_path, tiny_recipe):
    net = tmp_path / "net.py"
    net.write_text(NET)
    keys = [f"model.backbone={net}:Net", "stages.classify.epochs=1"]
    recipe = load(tiny_recipe, keys)
    train(recipe, stage="classify")
    run = f"{recipe.runs}/{recipe.name}"
    net.write_text(NET + "# edited\n")
    with pytest.raises(UserError, match=r"another text of .*net\.py:Net.*--trust"):
        verify(run)
    assert verify(run, trust=True).stage == "classify"
