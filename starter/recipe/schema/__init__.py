"""Every key of a recipe: its type, default, range and meaning in one line."""

from starter.recipe.schema.data import (
    AugmentStep,
    DataSection,
    DemoSection,
    MixSection,
    PairsSection,
    PKSampler,
    ShuffleSampler,
    SplitsSection,
)
from starter.recipe.schema.model import ModelSection, RulesSection
from starter.recipe.schema.recipe import Recipe
from starter.recipe.schema.train import LossTerm, StageSection, TrainSection
from starter.recipe.schema.verify import SubmissionSection, VerifySection

__all__ = [
    "AugmentStep",
    "DataSection",
    "DemoSection",
    "LossTerm",
    "MixSection",
    "ModelSection",
    "PKSampler",
    "PairsSection",
    "Recipe",
    "RulesSection",
    "ShuffleSampler",
    "SplitsSection",
    "StageSection",
    "SubmissionSection",
    "TrainSection",
    "VerifySection",
]
