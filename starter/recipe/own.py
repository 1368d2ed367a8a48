"""A user's own class or function: `path/to/file.py:Name`.

For a network, a loss, a step of `augment`, an optimizer, a schedule, a metric or a layout. Imports
no torch.
"""

import hashlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starter.errors import UserError, did_you_mean
from starter.files import RUN_ENVIRONMENT, RUN_RECIPE


def is_own(name: str) -> bool:
    """Whether a name is a user's own: path/to/file.py:Name."""
    return ".py:" in name


def split_own(name: str) -> tuple[Path, str]:
    """path/to/file.py:Name -> the file, relative to where the command runs, and the name."""
    path, _, attribute = name.rpartition(":")
    return Path(path).expanduser(), attribute


def anchored(name: str, recipe_folder: Path) -> str:
    """The name with a path that holds from the current folder, where its file lies beside the
    recipe and not below the current folder."""
    path, attribute = split_own(name)
    beside = recipe_folder / path
    if path.is_absolute() or path.is_file() or not beside.is_file() or in_run_folder(beside):
        return name
    return f"{Path(os.path.relpath(beside)).as_posix()}:{attribute}"


def in_run_folder(path: Path) -> bool:
    """Whether a file lies in a run folder: those come from others, and nobody runs their code."""
    return any(
        (p / RUN_RECIPE).exists() and (p / RUN_ENVIRONMENT).exists()
        for p in path.absolute().parents
    )


def names_in(value: Any) -> Iterator[str]:
    """Every name of a user's own in plain values: a recipe's or a part of it."""
    if isinstance(value, str) and is_own(value):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from names_in(item)


def by_text(value: Any) -> Any:
    """The same plain values with each own name as its class and its file's text, `Net of sha256`:
    the same text is the same class wherever it lies."""
    if isinstance(value, str) and is_own(value):
        return f"{split_own(value)[1]} of {source_hash(value)}"
    if isinstance(value, dict):
        return {key: by_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [by_text(item) for item in value]
    return value


def refuse_other_text(value: Any, known: Any, place: object) -> None:
    """UserError where an own name in `value` has another text now than the names in `known`, which
    is `by_text` of what a stage was trained with.

    place: the stage's folder, for the message.
    """
    texts = json.dumps(known)
    for name in names_in(value):
        if by_text(name) not in texts:
            raise UserError(
                f"{place} was trained with another text of {name}: put that file back, or train "
                "the stage again with --fresh; --trust takes the file as it is"
            )


def source_hash(name: str) -> str:
    """sha256 of the file, hex: the same text is the same class wherever it lies."""
    return hashlib.sha256(_read(split_own(name)[0])).hexdigest()


def load_own(name: str) -> Any:
    """What `path/to/file.py:Name` names, its file run once for each text.

    Raises:
        UserError: no such file, it cannot be run (with the line), or it has no such name.
    """
    path, attribute = split_own(name)
    if in_run_folder(path):
        raise UserError(f"{path} lies in a run folder; copy it beside the recipe to run it")
    text = str(path.absolute()).encode() + b"\0" + _read(path)
    module_name = f"own_{path.stem}_{hashlib.sha256(text).hexdigest()[:12]}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # dataclasses and pickle look their class up there
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise UserError(f"{path} cannot be run: {error_text(error, path)}") from error
    module = sys.modules[module_name]
    if not hasattr(module, attribute):
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module_name]
        hint = did_you_mean(attribute, own) or f"; it has {', '.join(own) or 'none'}"
        raise UserError(f"{path} has no {attribute!r}{hint}")
    return getattr(module, attribute)


def error_text(error: BaseException, path: Path) -> str:
    """An error with the last line of the user's file that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path.absolute()]
    place = f" (line {lines[-1]} of {path})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror} (seen from {Path.cwd()})") from None
