"""One reader per way a data set lies on disk; each returns a Catalog."""

import logging
from pathlib import Path

from starter.data.catalog import Catalog
from starter.data.layouts import arrays, course, cub, folders, hw2p2, lfw, omniglot, table
from starter.data.layouts.disk import expand_root
from starter.data.layouts.recognise import name_of, recognise
from starter.data.long_tail import long_tail
from starter.data.turned import add_turned
from starter.recipe.schema.data import DataSection

log = logging.getLogger(__name__)

READERS = {
    "hw2p2": hw2p2.read,
    **dict.fromkeys(course.FAMILIES, course.read),
    "folders": folders.read,
    "csv": table.read,
    "lfw": lfw.read,
    "cub": cub.read,
    "omniglot": omniglot.read,
    **dict.fromkeys(arrays.KINDS, arrays.read),
}


def load_catalog(data: DataSection) -> Catalog:
    """The data set a recipe's `data:` section describes.

    Raises:
        UserError: in one line, what is wrong with it, where, and what to do.
    """
    if data.layout == "auto":
        data, why = settle(data)
        log.info("data.layout: %s", why)
    catalog = long_tail(READERS[data.layout](data), data.imbalance)
    return add_turned(catalog, data.new_classes)


def settle(data: DataSection) -> tuple[DataSection, str]:
    """The section with its layout recognised where that is auto, and the reason in words."""
    if data.layout != "auto":
        return data, f"{data.layout} ({name_of(data.layout)}), as the recipe says"
    fit = recognise(expand_root(data.root), data)
    known = data.model_copy(update={"layout": fit.layout, "root": str(fit.root)})
    return known, (
        f"recognised {fit.layout} ({name_of(fit.layout)}) at {fit.root} by {', '.join(fit.there)}"
    )


def resolve_root(data: DataSection) -> Path:
    """data.root with ~ and $NAME expanded, and the one folder inside that an archive may add.

    Raises:
        UserError: no such folder; the message says what is there instead.
    """
    data, _ = settle(data)
    root = expand_root(data.root)
    if data.layout == "hw2p2":
        return hw2p2.find_base(root)
    return folders.descend(root, data.splits) if data.layout == "folders" else root
