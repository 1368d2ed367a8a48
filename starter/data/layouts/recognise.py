"""Which layout a folder has, by the folders and files that only that layout has."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from starter.data.layouts import folders, kaggle
from starter.data.layouts.disk import some
from starter.data.layouts.registry import LAYOUTS
from starter.data.layouts.survey import Survey
from starter.errors import UserError
from starter.recipe.schema.data import DataSection


class Fit(NamedTuple):
    """How well a layout fits: what it needs that is there, and what is not. root: where it is."""

    layout: str
    there: list[str]
    lacks: list[str]
    root: Path

    def __str__(self) -> str:
        return f"{self.layout} ({LAYOUTS[self.layout].words})"


def recognise(root: Path, data: DataSection) -> Fit:
    """The one layout that fits what lies under root.

    A layout with names of its own goes before folders per class and tables, which fit almost
    anything.

    Raises:
        UserError: none fits (the nearest and what it lacks), or more than one does.
    """
    survey = Survey(root)
    fits = [_needs(name, survey) for name, layout in LAYOUTS.items() if layout.needs]
    whole = [fit for fit in fits if not fit.lacks]
    if any(fit.layout == "hw2p2_f22" for fit in whole):  # S23 to S24 also have verification_dev.csv
        whole = [fit for fit in whole if fit.layout != "hw2p2_s22"]
    if not whole:
        # A table says more than folders do: a class of its own may be a folder of them.
        what = "a table with columns of images and classes"
        fits.append(_try("kaggle", what, root, lambda: kaggle.fits(root, data.options)))
        if fits[-1].lacks:
            what = "two or more folders of images"
            fits.append(_try("folders", what, root, lambda: _classes(root, data)))
        whole = [fit for fit in fits if not fit.lacks]
    if len(whole) == 1:
        return whole[0]
    if whole:
        each = "; ".join(f"{fit} by {', '.join(fit.there)}" for fit in whole)
        raise UserError(
            f"data.layout: {root} fits {len(whole)} layouts equally: {each}. Choose one with "
            f"data.layout={whole[0].layout}, or set data.root to a folder that holds one"
        )
    nearest = max(fits, key=lambda fit: len(fit.there) / len(fit.there + fit.lacks))
    contents = survey.contents(root)
    images = f"{len(contents.images)} images, " if contents.images else ""
    raise UserError(
        f"data.layout: {root} fits no layout; looked for {', '.join(LAYOUTS)}; found "
        f"{images}{some(contents.folders + contents.texts)}; the nearest is {nearest}, which "
        f"lacks {', '.join(nearest.lacks)}"
    )


def _needs(name: str, survey: Survey) -> Fit:
    layout = LAYOUTS[name]
    there: list[str] = []
    lacks: list[str] = []
    root = survey.root
    for names in layout.needs:
        places = {need: _places(survey, need) for need in names}
        need = next((need for need in names if places[need]), None)
        (lacks if need is None else there).append(need or " or ".join(names))
        if need is not None and layout.at_needs:
            root = places[need][0].parents[need.count("/") - 1]
    return Fit(name, there, lacks, root)


def _places(survey: Survey, need: str) -> list[Path]:
    """Where a need is met: folders whose path ends in it, or the folders of a text file."""
    if not need.endswith("/"):
        lower = need.lower()
        return [p for p, held in survey.folders.items() if lower in map(str.lower, held.texts)]
    parts = need.rstrip("/").split("/")
    return [
        path
        for path in survey.folders
        if path.name.lower() == parts[-1].lower() and [*path.parts[-len(parts) : -1]] == parts[:-1]
    ]


def _classes(root: Path, data: DataSection) -> bool:
    """Two folders of images somewhere a train split may be."""
    root = folders.descend(root, data.splits)
    train = folders.find_splits(root, data.splits)["train"]
    return len(set(folders.read_classes(train, root).labels)) > 1


def _try(name: str, what: str, root: Path, fits: Callable[[], bool]) -> Fit:
    try:
        whole = fits()
    except UserError:
        whole = False
    return Fit(name, [what] if whole else [], [] if whole else [what], root)
