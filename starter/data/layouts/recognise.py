"""The names of layouts, what reads each, and which one a folder has: by the folders and files that
only that layout has."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from starter.data.catalog import Catalog
from starter.data.layouts import competition, folders, kaggle, lfw, sets
from starter.data.layouts.disk import Survey, some
from starter.errors import UserError
from starter.recipe.schema.data import DataSection


class Layout(NamedTuple):
    """A way in which a set lies on disk.

    read: `read(root, **options)`; the kit gives it `splits` and `download` where it takes them.
    needs: folders (ending in /) or files that it cannot do without, any one of a tuple. at_needs:
    its root is where the first of them lies, not data.root.
    """

    words: str
    read: Callable[..., Catalog]
    needs: tuple[tuple[str, ...], ...] = ()
    at_needs: bool = False


LAYOUTS = {
    **{
        name: Layout(
            f"HW2P2, {shape.years}",
            partial(competition.read, shape=shape),
            shape.needs,
            at_needs=shape.inside is not None,
        )
        for name, shape in competition.SHAPES.items()
    },
    "lfw": Layout(
        "LFW",
        lfw.read,
        (tuple(f"{name}/" for name in lfw.FACES), ("pairs.txt", "pairsDevTest.txt")),
    ),
    "cub": Layout(
        "CUB-200-2011", sets.read_cub, (("images/",), *((name,) for name in sets.CUB_FILES[:3]))
    ),
    "omniglot": Layout("Omniglot, both parts", sets.read_omniglot, (("images_background/",),)),
    **{
        name: Layout("torchvision", partial(sets.read_array, layout=name), ((files,),), True)
        for name, (_, files) in sets.ARRAYS.items()
    },
    "folders": Layout("a folder per class", folders.read),
    "kaggle": Layout("a table of images", kaggle.read),
}


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
    fits = [_by_needs(name, survey) for name, layout in LAYOUTS.items() if layout.needs]
    whole = [fit for fit in fits if not fit.lacks]
    if any(fit.layout == "hw2p2_f22" for fit in whole):  # S23 to S24 also have verification_dev.csv
        whole = [fit for fit in whole if fit.layout != "hw2p2_s22"]
    if not whole:
        # A table says more than folders do: a class of its own may be a folder of them.
        for name, what, refuse in (
            ("kaggle", "a table of images and classes", kaggle.refuse),
            ("folders", "two or more folders of images", folders.refuse),
        ):
            try:
                refuse(root, data)
                fits.append(Fit(name, [what], [], root))
                break
            except UserError:
                fits.append(Fit(name, [], [what], root))
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


def _by_needs(name: str, survey: Survey) -> Fit:
    layout = LAYOUTS[name]
    fit = Fit(name, [], [], survey.root)
    for names in layout.needs:
        places = {need: _places(survey, need) for need in names}
        need = next((need for need in names if places[need]), None)
        if need is None:
            fit.lacks.append(" or ".join(names))
            continue
        fit.there.append(need)
        if layout.at_needs:
            fit = fit._replace(root=places[need][0].parents[need.count("/") - 1])
    return fit


def _places(survey: Survey, need: str) -> list[Path]:
    """Where a need is met: folders whose path ends in it, or the folders of a text file."""
    if not need.endswith("/"):
        lower = need.lower()
        return [p for p, held in survey.folders.items() if lower in map(str.lower, held.texts)]
    *above, last = need.rstrip("/").split("/")
    return [
        path
        for path in survey.folders
        if path.name.lower() == last.lower() and [*path.parts[-1 - len(above) : -1]] == above
    ]
