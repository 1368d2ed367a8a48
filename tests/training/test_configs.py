"""Every recipe that is shipped builds its networks, its optimizers and its augmentation."""

from pathlib import Path

import pytest
import torch

from starter.data.augment import build_augment
from starter.models import check_rules
from starter.recipe import load
from starter.training.build import build_learner
from starter.training.optimizers import build_optimizer
from starter.training.resolve import resolve

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGS = sorted([*ROOT.glob("configs/*.yaml"), *ROOT.glob("configs/untested/*.yaml")])
CLASSES = 8631  # the largest competition's: the parameter limit counts class weights


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_recipe_can_be_trained(path):
    recipe = resolve(load(path))
    for name, section in recipe.stages.items():
        size = section.image_size or recipe.data.image_size
        learner = build_learner(recipe, name, CLASSES, size)
        check_rules(learner.embedder, list(learner.objective.terms.values()), recipe.rules)
        optimizer = build_optimizer(learner, section.optimizer, torch.device("cpu"))
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in learner.parameters()}
        steps = recipe.augment if section.augment is None else section.augment
        build_augment(steps, size, recipe.data.channels)
