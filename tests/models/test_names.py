"""Whose a backbone's name is, and what is said of a wrong one."""

import pytest

from starter.models.registry import resolve
from starter.recipe.schema import ModelSection

NETWORK = """
from torch import nn
from torch.nn import Conv2d as Mine

class Net(nn.Module): pass

N = 3
"""


def wrong(name):
    _, problems = resolve(ModelSection(backbone=name))
    assert all(found.path == ("backbone",) for found in problems)
    return " ".join(found.message for found in problems)


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet18", "timm/resnet50.a1_in1k"])
def test_known_backbones(name):
    assert not wrong(name)


@pytest.mark.parametrize(
    "name, hint",
    [
        ("resnet51", "did you mean 'resnet50'"),
        ("timm/convnxt_tiny", "'timm/convnext_tiny'"),
        ("convnext_base", "'timm/convnext_base'"),
        ("convnext_ato", "did you mean 'convnext_atto'"),
        ("timm/resnet50.a1_in22k", "no weights 'a1_in22k' of timm/resnet50"),
        ("resnet50.a1_in1k", "no weights"),
        ("qqqqq", "python -m starter.models"),
        ("tv/resnet50", "no such backbone"),
    ],
)
def test_unknown_backbones(name, hint):
    assert hint in wrong(name)


@pytest.mark.parametrize(
    "text, name, hint",
    [
        (NETWORK, "Net", None),
        (NETWORK, "Mine", None),
        (NETWORK, "Nett", "did you mean 'Net'"),
        (NETWORK, "qqqqq", "it has Net"),
        (NETWORK, "N", "is no torch.nn.Module class"),
        ("class Net(:", "Net", "SyntaxError"),
        ("1 / 0", "Net", "ZeroDivisionError"),
        (None, "Net", "No such file"),
    ],
)
def test_ones_own_network_is_known_by_its_file(text, name, hint, tmp_path):
    if text is not None:
        (tmp_path / "net.py").write_text(text)
    message = wrong(f"{tmp_path}/net.py:{name}")
    assert hint in message if hint else not message
