"""Omniglot as torchvision or its archives lay it: folders of alphabets of characters."""

import os
from pathlib import Path

from starter.data.catalog import Catalog
from starter.data.layouts import folders
from starter.data.layouts.disk import expand_root
from starter.data.layouts.survey import Survey, only
from starter.errors import UserError
from starter.recipe.schema.data import DataSection

BACKGROUND, EVALUATION = "images_background", "images_evaluation"


def read(data: DataSection) -> Catalog:
    """The 964 characters of images_background to train on, the 659 others to verify.

    Raises:
        UserError: no images_background under data.root.
    """
    root = expand_root(data.root, make=data.download)
    if data.download:
        fetch(root)
    survey = Survey(root)
    background = only(survey.named([BACKGROUND]), BACKGROUND, root)
    if background is None:
        raise UserError(f"data.root: {root} has no folder {BACKGROUND}/ (layout omniglot)")
    evaluation = only(survey.named([EVALUATION]), EVALUATION, root)
    parts = [background] if evaluation is None else [background, evaluation]
    base = Path(os.path.commonpath([part.parent for part in parts]))
    names = {"train": background.relative_to(base).as_posix()}
    if evaluation is not None:
        names["verify"] = evaluation.relative_to(base).as_posix()
    splits = data.splits.model_copy(update=names)
    return folders.read(data.model_copy(update={"root": str(base), "splits": splits}))


def fetch(root: Path) -> None:
    """Both parts by torchvision, unless they are there."""
    from torchvision.datasets import Omniglot

    try:
        for background in (True, False):
            Omniglot(root, background=background, download=True)
    except (RuntimeError, OSError) as error:
        raise UserError(f"data.download: {root}: {str(error).splitlines()[0]}") from error
