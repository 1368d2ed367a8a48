"""From `data:` of a recipe to a Catalog: one reader per shape of folder, or a user's own.

Every reader is `read(root, **options) -> Catalog`; `data.options` are its keyword arguments.
"""

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starter.data.catalog import Catalog
from starter.data.layouts import competition, folders
from starter.data.layouts.disk import expand_root
from starter.data.layouts.own import load_reader
from starter.data.layouts.recognise import recognise
from starter.data.layouts.registry import LAYOUTS
from starter.data.layouts.shapes import SHAPES
from starter.data.long_tail import long_tail
from starter.data.splits import complete
from starter.data.turned import add_turned
from starter.errors import did_you_mean
from starter.recipe.named import fill, problem, raise_all
from starter.recipe.own import is_own
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
    given: dict[str, Any] = {"splits": data.splits, "download": data.download}
    given = {key: value for key, value in given.items() if key in _parameters(reader)}
    root = expand_root(data.root, make=data.download)
    catalog = reader(root, **given, **data.options)
    return complete(catalog, data)


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
    parameters = _parameters(reader)
    problems = []
    if data.download and "download" not in parameters:
        able = [name for name, known in LAYOUTS.items() if "download" in _parameters(known.read)]
        message = f"torchvision fetches {', '.join(able)}; for layout {data.layout} unpack the "
        problems.append(problem(data, "download", f"{message}files yourself"))
    if data.splits != type(data.splits)() and "splits" not in parameters:
        problems.append(problem(data, "splits", f"layout {data.layout} takes no names of splits"))
    options = Named(kind=data.layout, **data.options)
    options._origin = Origin(origin.document, (*origin.path, "options"))
    root = next(iter(parameters), "root")
    filled, wrong = fill(options, reader, given=(root, *GIVEN))
    return data.model_copy(update={"options": filled.options}), problems + wrong


def _reader(layout: str) -> Callable[..., Catalog]:
    return LAYOUTS[layout].read if layout in LAYOUTS else load_reader(layout)


def _parameters(reader: Callable) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(reader).parameters)


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
    if data.layout in SHAPES:
        return competition.find_base(root, SHAPES[data.layout])
    return folders.descend(root, data.splits) if data.layout == "folders" else root
