"""A user's own class or function: `path/to/file.py:Name`.

For a network, a loss, a step of `augment`, an optimizer, a schedule, a metric or a layout. Imports
no torch.
"""

import hashlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from starter.errors import UserError, did_you_mean


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
    if path.is_absolute() or path.is_file() or not beside.is_file():
        return name
    return f"{Path(os.path.relpath(beside)).as_posix()}:{attribute}"


def source_hash(name: str) -> str:
    """sha256 of the file, hex: the same text is the same class wherever it lies."""
    return hashlib.sha256(_read(split_own(name)[0])).hexdigest()


def load_own(name: str) -> Any:
    """What `path/to/file.py:Name` names, its file run once for each text.

    Raises:
        UserError: no such file, it cannot be run (with the line), or it has no such name.
    """
    path, attribute = split_own(name)
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
            raise UserError(f"{path} cannot be run: {told(error, path)}") from error
    module = sys.modules[module_name]
    if not hasattr(module, attribute):
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module_name]
        hint = did_you_mean(attribute, own) or f"; it has {', '.join(own) or 'none'}"
        raise UserError(f"{path} has no {attribute!r}{hint}")
    return getattr(module, attribute)


def told(error: BaseException, path: Path) -> str:
    """An error with the last line of the user's file that it came through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f" (line {lines[-1]} of {path})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror} (seen from {Path.cwd()})") from None
