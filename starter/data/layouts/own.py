"""A user's own layout, path/to/data.py:read, with `read(root, **options) -> Catalog`."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from starter.data.catalog import DEV, SPLITS, Catalog
from starter.errors import UserError
from starter.recipe.own import load_own, split_own, told


def load_reader(name: str) -> Callable[..., Catalog]:
    """The function, its mistakes told with the line of its file.

    Raises:
        UserError: the file cannot be run, or has no such function.
    """
    function = load_own(name)

    @functools.wraps(function)
    def read(*arguments: Any, **options: Any) -> Catalog:
        try:
            catalog = function(*arguments, **options)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"data.layout: {told(error, split_own(name)[0])}") from error
        return checked(catalog, name)

    return read


def checked(catalog: Any, name: str) -> Catalog:
    """What a user's reader returned, its arrays of the types that the kit counts on.

    Raises:
        UserError: it is no Catalog, or its parts do not agree.
    """
    if not isinstance(catalog, Catalog):
        raise UserError(f"data.layout: {name} returned {type(catalog).__name__}, not a Catalog")
    label_N, split_N = np.asarray(catalog.label_N, np.int64), np.asarray(catalog.split_N, np.uint8)
    mistake = ""
    if not label_N.shape == split_N.shape == (len(catalog),):
        mistake = f"label_N and split_N need one entry for each of the {len(catalog)} names"
    elif (split_N >= len(SPLITS)).any():
        mistake = f"split_N is an index into {', '.join(SPLITS)}"
    elif ((label_N < -1) | (label_N >= len(catalog.classes))).any():
        mistake = f"label_N is -1 or below {len(catalog.classes)}, the number of classes"
    elif (label_N[split_N <= DEV] < 0).any():
        mistake = "an image of train or dev has no label"
    if mistake:
        raise UserError(f"data.layout: {name}: {mistake}")
    return dataclasses.replace(catalog, label_N=label_N, split_N=split_N)
