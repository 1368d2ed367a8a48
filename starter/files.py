"""Files as everything here writes and reads them: whole or not at all, one reader, one lock, one
digest."""

import contextlib
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from starter.errors import UserError

# A folder with both is a run folder. Spelled here, as recipes must know one and `runs`, which has
# all its other names, stands on them.
RUN_RECIPE, RUN_ENVIRONMENT = "recipe.yaml", "environment.json"


@contextlib.contextmanager
def replacing(path: Path, mode: str = "wb") -> Iterator[IO]:
    """A file to write in place of `path`: a reader sees the old content or the new, whole.

    The part has a name of its own, so that two processes do not write into one; it is gone where
    the body raises. Text is UTF-8 with \\n.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        with open(part, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replaces a text file in one step."""
    with replacing(path, "w") as file:
        file.write(text)


def write_json(path: Path, value: object) -> None:
    """Replaces a JSON file in one step."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds one object. UserError when it is missing, damaged or another
    value."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object")
    return value


def sha256(path: Path) -> str:
    """sha256 of a file's content, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock(path: Path, taken: str | None = None, patience: float = 0) -> Iterator[None]:
    """Holds the lock file `path` while the body runs.

    taken: where another process holds it for `patience` seconds, UserError with this message; None:
    wait for ever. The system lets go of the lock when its process ends, however it ends.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path).acquire(timeout=-1 if taken is None else patience)
    except Timeout:
        raise UserError(str(taken)) from None
    with held:
        yield


def is_disk_full(error: BaseException) -> bool:
    """Whether a save failed for want of space, as Python, torch and safetensors each say it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error).lower()
    return "no space left" in text or "os error 28" in text or "enforce fail" in text
