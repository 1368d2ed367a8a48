"""Transforms are checked against a table that is current, without an import."""

import re
import sys
import types
from pathlib import Path

import pytest

from starter.recipe import load, names

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_table_is_of_the_versions_in_the_constraints():
    constraints = ROOT / "constraints.txt"
    if not constraints.is_file():
        pytest.skip("no constraints.txt")
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", constraints.read_text(), re.MULTILINE))
    for package, version in names.table()["versions"].items():
        assert pinned[package] == version, "run: python -m starter.workflow.names"


STEP = "{kind: HorizontalFlip, p: 0.5}"


@pytest.mark.parametrize(
    "step",
    [
        "{kind: Affine, rotate: [-10, 10], translate_percent: [-0.05, 0.05], p: 0.5}",
        "{kind: OneOf, p: 1, transforms: [{kind: Blur}, {kind: GaussNoise, p: 1}]}",
        "{kind: tv/RandAugment, num_ops: 2, magnitude: 9}",
        "{kind: OneOf, transforms: [{kind: tv/AugMix}, {kind: Blur}]}",
        "{kind: OneOrOther, first: {kind: Blur}, second: {kind: Sequential, transforms: []}}",
    ],
)
def test_known_transforms(step, good):
    good.write_text(good.read_text().replace(STEP, step))
    assert load(good).augment[0].kind in step


@pytest.mark.parametrize(
    "step, path, hint",
    [
        ("{kind: HorizontlFlip}", "augment.0.kind", "did you mean 'HorizontalFlip'?"),
        ("{kind: BasicTransform}", "augment.0.kind", "no such transform"),
        ("{kind: HorizontalFlip, strength: 3}", "augment.0.strength", "it has p"),
        ("{kind: Affine, rotat: 3}", "augment.0.rotat", "did you mean 'rotate'? (got 3)"),
        (
            "{kind: OneOf, transforms: [{kind: Blur}, {kind: Blr}]}",
            "augment.0.transforms.1.kind",
            "did you mean 'Blur'?",
        ),
        (
            "{kind: OneOrOther, first: {kind: Blur, limit: 3}}",
            "augment.0.first.limit",
            "did you mean 'blur_limit'?",
        ),
        ("{kind: tv/RandAugmnt}", "augment.0.kind", "did you mean 'tv/RandAugment'?"),
        ("{kind: RandAugment}", "augment.0.kind", "torchvision has: tv/RandAugment"),
        ("{kind: tv/MixUp}", "augment.0.kind", "torchvision has no such transform"),
        ("{kind: tv/RandAugment, magnitud: 9}", "augment.0.magnitud", "did you mean 'magnitude'?"),
        ("{kind: tv/RandAugment, p: 0.5}", "augment.0.p", "no such argument"),
        ("{kind: HorizontalFlip, p: 2}", "augment.0.p", "should be a number from 0 to 1 (got 2)"),
        ("{kind: Affine, p: often}", "augment.0.p", "from 0 to 1 (got 'often')"),
        (
            "{kind: OneOf, transforms: [{kind: Blur, p: -1}]}",
            "augment.0.transforms.0.p",
            "from 0 to 1 (got -1)",
        ),
    ],
)
def test_unknown_transforms_and_arguments(step, path, hint, spoil):
    message = spoil(STEP, step)
    assert f": {path}: " in message.splitlines()[0] and hint in message
    assert len([line for line in message.splitlines() if not line.startswith("    ")]) == 1


def test_a_stage_s_own_transforms_are_checked(spoil):
    message = spoil("epochs: 2", "epochs: 2\n    augment: [{kind: Blurr}]")
    assert message.startswith("good.yaml:12:22: stages.classify.augment.0.kind: ")


class BasicTransform:
    pass


class NewerFlip(BasicTransform):
    def __init__(self, p=0.5, sideways=False):
        pass


@pytest.fixture
def newer(monkeypatch):
    """Other versions are installed than the table's."""
    albumentations = types.ModuleType("albumentations")
    albumentations.BasicTransform = BasicTransform
    albumentations.BaseCompose = type("BaseCompose", (), {})
    albumentations.HorizontalFlip = albumentations.NewerFlip = NewerFlip
    monkeypatch.setitem(sys.modules, "albumentations", albumentations)
    v2 = types.ModuleType("torchvision.transforms.v2")
    v2.Transform = type("Transform", (), {})
    v2.NewerAugment = type("NewerAugment", (v2.Transform,), {"__init__": NewerFlip.__init__})
    transforms = types.ModuleType("torchvision.transforms")
    transforms.v2 = v2
    monkeypatch.setitem(sys.modules, "torchvision.transforms", transforms)
    monkeypatch.setattr(names.metadata, "version", lambda package: "99.0")


def test_names_that_another_installed_version_knows_are_accepted(newer, good):
    changes = ["augment=[{kind: NewerFlip}, {kind: HorizontalFlip, sideways: true}]"]
    assert load(good, changes).augment[0].kind == "NewerFlip"
    assert load(good, ["augment=[{kind: tv/NewerAugment, sideways: true}]"])


def test_names_that_the_other_version_lacks_too_are_refused(newer, spoil):
    assert "no such argument" in spoil("p: 0.5", "upside: 0.5")
    assert "no such transform" in spoil("HorizontalFlip", "NewestFlip")


def test_the_table_alone_counts_where_nothing_is_installed(monkeypatch, good, spoil):
    def absent(package):
        raise names.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(names.metadata, "version", absent)
    assert load(good).augment[0].kind == "HorizontalFlip"
    assert "no such transform" in spoil("HorizontalFlip", "NewestFlip")
