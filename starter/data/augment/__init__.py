"""How training images vary: `pipeline.py` draws and applies a recipe's `augment:` list.

`kinds.py` finds what its names mean, in albumentations, torchvision and the user's file; `step.py`,
`geometry.py` and `pixels.py` are the steps that the kit draws itself. `mix.py` is mixup and cutmix.
"""

from starter.data.augment.kinds import resolve
from starter.data.augment.pipeline import Augment, build_augment

__all__ = ["Augment", "build_augment", "resolve"]
