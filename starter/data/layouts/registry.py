"""The names of layouts: what each means, what reads it, and what it is recognised by."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from starter.data.catalog import Catalog
from starter.data.layouts import competition, cub, folders, kaggle, lfw, sets
from starter.data.layouts.shapes import SHAPES


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
        for name, shape in SHAPES.items()
    },
    "lfw": Layout(
        "LFW",
        lfw.read,
        (tuple(f"{name}/" for name in lfw.FACES), ("pairs.txt", "pairsDevTest.txt")),
    ),
    "cub": Layout("CUB-200-2011", cub.read, (("images/",), *((name,) for name in cub.FILES[:3]))),
    "omniglot": Layout("Omniglot, both parts", sets.read_omniglot, (("images_background/",),)),
    **{
        name: Layout("torchvision", partial(sets.read_array, layout=name), ((files,),), True)
        for name, (_, files) in sets.ARRAYS.items()
    },
    "folders": Layout("a folder per class", folders.read),
    "kaggle": Layout("a table of images", kaggle.read),
}
