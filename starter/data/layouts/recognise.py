"""Which layout a folder has, by the folders and files that only that layout has."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from starter.data.layouts import folders, lfw, table
from starter.data.layouts.course import FAMILIES
from starter.data.layouts.disk import some
from starter.data.layouts.known import KNOWN, UNKNOWN_DEV, UNKNOWN_TEST
from starter.data.layouts.survey import Survey
from starter.errors import UserError
from starter.recipe.schema.data import DataSection


class Fit(NamedTuple):
    """How well a layout fits: what it needs that is there, and what is not. root: where it is."""

    layout: str
    there: list[str]
    lacks: list[str]
    root: Path

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.lacks


# What a layout cannot do without: folders (ending in /) or files, any one of a tuple.
NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "hw2p2": (("cls_data/",),),
    "hw2p2_f22": (
        ("train/", "train_subset/"),
        tuple(f"{name}/" for name in KNOWN),
        tuple(f"{name}/" for name in UNKNOWN_DEV + UNKNOWN_TEST),
    ),
    "hw2p2_s22": (("train/", "train_subset/"), ("verification_dev.csv", "verification_test.csv")),
    "hw2p2_f20": (("train_data/",), ("val_data/",)),
    "hw2p2_s19": (("train_data/",), ("validation_classification/",)),
    "lfw": (tuple(f"{name}/" for name in lfw.FACES), ("pairs.txt", "pairsDevTest.txt")),
    "cub": (("images/",), ("images.txt",), ("image_class_labels.txt",), ("train_test_split.txt",)),
    "omniglot": (("images_background/",),),
    "mnist": (("MNIST/raw/",),),
    "fashion_mnist": (("FashionMNIST/raw/",),),
    "cifar10": (("cifar-10-batches-py/",),),
    "cifar100": (("cifar-100-python/",),),
}
WORDS = {
    "hw2p2": "HW2P2, F24 to F26",
    "folders": "a folder per class",
    "csv": "a table of images",
    "lfw": "LFW",
    "cub": "CUB-200-2011",
    "omniglot": "Omniglot, both parts",
    "mnist": "torchvision",
    "fashion_mnist": "torchvision",
    "cifar10": "torchvision",
    "cifar100": "torchvision",
    **{name: f"HW2P2, {family.years}" for name, family in FAMILIES.items()},
}
ARRAYS = ("mnist", "fashion_mnist", "cifar10", "cifar100")


def recognise(root: Path, data: DataSection) -> Fit:
    """The one layout that fits what lies under root.

    A layout with names of its own goes before folders per class and tables, which fit almost
    anything.

    Raises:
        UserError: none fits (the nearest and what it lacks), or more than one does.
    """
    survey = Survey(root)
    own = [_needs(layout, survey) for layout in NEEDS]
    whole = [fit for fit in own if fit.whole]
    if any(fit.layout == "hw2p2_f22" for fit in whole):  # S23 to S24 also have verification_dev.csv
        whole = [fit for fit in whole if fit.layout != "hw2p2_s22"]
    general = [] if whole else [_folders(survey, data), _table(survey, data)]
    whole = whole or [fit for fit in general if fit.whole]
    if len(whole) == 1:
        return whole[0]
    if whole:
        each = "; ".join(
            f"{fit.layout} ({name_of(fit.layout)}: {', '.join(fit.there)})" for fit in whole
        )
        raise UserError(
            f"data.layout: {root} fits {len(whole)} layouts equally: {each}. Choose one with "
            f"data.layout={whole[0].layout}, or set data.root to a folder that holds one"
        )
    nearest = max(own + general, key=lambda fit: len(fit.there) / len(fit.there + fit.lacks))
    near = f"the nearest is {nearest.layout} ({name_of(nearest.layout)}), which lacks "
    contents = survey.contents(root)
    held = f"{contents.images} images, " if contents.images else ""
    raise UserError(
        f"data.layout: {root} fits no layout; looked for {', '.join([*NEEDS, 'folders', 'csv'])}; "
        f"found {held}{some(contents.folders + contents.texts)}; {near}{', '.join(nearest.lacks)}"
    )


def name_of(layout: str) -> str:
    """A layout in words."""
    return WORDS.get(layout, layout)


def _needs(layout: str, survey: Survey) -> Fit:
    there: list[str] = []
    lacks: list[str] = []
    root = survey.root
    for names in NEEDS[layout]:
        found = next((name for name in names if _places(survey, name)), None)
        (lacks if found is None else there).append(found or " or ".join(names))
        if found is not None and layout in (*ARRAYS, "hw2p2"):
            root = _above(_places(survey, found)[0], found)
    return Fit(layout, there, lacks, root)


def _places(survey: Survey, name: str) -> list[Path]:
    if not name.endswith("/"):
        return survey.texts([name])
    *_, last = parts = name.rstrip("/").split("/")
    return [
        path
        for path in survey.folders
        if path.name.lower() == last.lower() and list(path.parts[-len(parts) :])[:-1] == parts[:-1]
    ]


def _above(path: Path, name: str) -> Path:
    """The folder that a path of these parts starts in."""
    return path.parents[len(name.rstrip("/").split("/")) - 1]


def _folders(survey: Survey, data: DataSection) -> Fit:
    """Two folders of images somewhere a train split may be."""

    def classes() -> bool:
        root = folders.descend(survey.root, data.splits)
        train = folders.find_splits(root, data.splits)
        return len(folders.read_classes(train["train"], root)) > 1

    return _try("folders", "two or more folders of images", survey, classes)


def _table(survey: Survey, data: DataSection) -> Fit:
    """One table whose columns fit."""
    return _try(
        "csv",
        "a table with columns of paths and classes",
        survey,
        lambda: bool(table.find_table(survey.root, data)),
    )


def _try(layout: str, what: str, survey: Survey, work: Callable[[], bool]) -> Fit:
    try:
        fits = work()
    except UserError:
        fits = False
    return Fit(layout, [what] if fits else [], [] if fits else [what], survey.root)
