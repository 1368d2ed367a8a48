"""From `data:` of a recipe to a Catalog: one reader per shape of folder, or a user's own.

Every reader is `read(root, **options) -> Catalog`; `data.options` are its keyword arguments.
"""

import dataclasses
import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from starter.data.catalog import DEV, SPLITS, Catalog
from starter.data.layouts import competition, folders
from starter.data.layouts.disk import expand_root
from starter.data.layouts.recognise import LAYOUTS, recognise
from starter.data.splits import complete
from starter.data.training_set import add_turned, long_tail
from starter.errors import UserError, did_you_mean
from starter.recipe.named import fill, problem, raise_all
from starter.recipe.own import error_text, is_own, load_own, split_own
from starter.recipe.problems import Problem
from starter.recipe.reader import Document
from starter.recipe.schema.base import Named, Origin
from starter.recipe.schema.data import DataSection

log = logging.getLogger(__name__)

GIVEN = ("splits", "download", "shape", "layout")  # arguments that no recipe states as options


def load_catalog(data: DataSection) -> Catalog:
    """The data set a recipe's `data:` section describes.

    Raises:
        UserError: in one line, what is wrong with it, where, and what to do.
    """
    if data.layout == "auto":
        data, why = settle(data)
        log.info("data.layout: %s", why)
    catalog = long_tail(read_layout(data), data.imbalance)
    return add_turned(catalog, data.new_classes)


def read_layout(data: DataSection) -> Catalog:
    """What a settled layout holds, with a dev split and validation pairs where it lacks them."""
    data, problems = resolve(data)
    raise_all(problems)
    reader = _reader(data.layout)
    given = {key: getattr(data, key) for key in ("splits", "download") if _takes(reader, key)}
    root = expand_root(data.root, make=data.download)
    return complete(reader(root, **given, **data.options), data)


def resolve(data: DataSection) -> tuple[DataSection, list[Problem]]:
    """The section with every option of its layout's reader stated, and what is wrong with it."""
    if data.layout == "auto":
        return data, []
    origin = data._origin or Origin(Document({}), ("data",))
    data = data.model_copy()
    data._origin = origin
    if data.layout not in LAYOUTS and not is_own(data.layout):
        hint = did_you_mean(data.layout, LAYOUTS) or f"; known: auto, {', '.join(LAYOUTS)}"
        message = f"no such layout{hint}, or path/to/file.py:function (got {data.layout!r})"
        return data, [problem(data, "layout", message)]
    reader = _reader(data.layout)
    problems = []
    if data.download and not _takes(reader, "download"):
        able = ", ".join(name for name, known in LAYOUTS.items() if _takes(known.read, "download"))
        message = f"torchvision fetches {able}; for layout {data.layout} unpack the files yourself"
        problems.append(problem(data, "download", message))
    if data.splits != type(data.splits)() and not _takes(reader, "splits"):
        problems.append(problem(data, "splits", f"layout {data.layout} takes no names of splits"))
    options = Named(kind=data.layout, **data.options)
    options._origin = Origin(origin.document, (*origin.path, "options"))
    root = next(iter(inspect.signature(reader).parameters), "root")
    filled, wrong = fill(options, reader, given=(root, *GIVEN))
    return data.model_copy(update={"options": filled.options}), problems + wrong


def _reader(layout: str) -> Callable[..., Catalog]:
    return LAYOUTS[layout].read if layout in LAYOUTS else _own_reader(layout)


def _takes(reader: Callable, argument: str) -> bool:
    return argument in inspect.signature(reader).parameters


def _own_reader(name: str) -> Callable[..., Catalog]:
    """A user's own layout, path/to/data.py:read; its errors name the line of its file."""
    function = load_own(name)

    @functools.wraps(function)
    def read(*arguments: Any, **options: Any) -> Catalog:
        try:
            catalog = function(*arguments, **options)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"data.layout: {error_text(error, split_own(name)[0])}") from error
        return _checked(catalog, name)

    return read


def _checked(catalog: Any, name: str) -> Catalog:
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


def settle(data: DataSection) -> tuple[DataSection, str]:
    """The section with its layout recognised where that is auto, and the reason in words."""
    if data.layout != "auto":
        words = LAYOUTS[data.layout].words if data.layout in LAYOUTS else "your own"
        return data, f"{data.layout} ({words}), as the recipe says"
    fit = recognise(expand_root(data.root), data)
    known = data.model_copy(update={"layout": fit.layout, "root": str(fit.root)})
    return known, f"recognised {fit} at {fit.root} by {', '.join(fit.there)}"


def resolve_root(data: DataSection) -> Path:
    """data.root with ~ and $NAME expanded, and the one folder inside that an archive may add.

    Raises:
        UserError: no such folder; the message says what is there instead.
    """
    data, _ = settle(data)
    root = expand_root(data.root)
    if data.layout in competition.SHAPES:
        return competition.find_base(root, competition.SHAPES[data.layout])
    return folders.descend(root, data.splits) if data.layout == "folders" else root
