"""One reader per way a data set lies on disk; each returns a Catalog."""

from pathlib import Path

from starter.data.catalog import Catalog
from starter.data.layouts import arrays, folders, hw2p2
from starter.data.layouts.disk import expand_root
from starter.recipe.schema.data import DataSection

READERS = {
    "hw2p2": hw2p2.read,
    "folders": folders.read,
    "mnist": arrays.read,
    "cifar10": arrays.read,
}


def load_catalog(data: DataSection) -> Catalog:
    """The data set a recipe's `data:` section describes.

    Raises:
        UserError: in one line, what is wrong with it, where, and what to do.
    """
    return READERS[data.layout](data)


def resolve_root(data: DataSection) -> Path:
    """data.root with ~ and $NAME expanded, and the one folder inside that an archive may add.

    Raises:
        UserError: no such folder; the message says what is there instead.
    """
    root = expand_root(data.root)
    if data.layout == "hw2p2":
        return hw2p2.find_base(root)
    return folders.descend(root, data.splits) if data.layout == "folders" else root
