"""The kit's own code as files to pack, for a hand-in or for Kaggle's machines, and the secrets that
must not go with it."""

import json
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import yaml

from starter.errors import UserError
from starter.recipe import to_yaml
from starter.recipe.own import is_own, split_own
from starter.recipe.schema import Recipe
from starter.runs.provenance import ROOT
from starter.submission.table import first_five

PARTS = (
    "train.py",
    "verify.py",
    "submit.py",
    "starter",
    "requirements.txt",
    "constraints.txt",
    "pyproject.toml",
    "LICENSE",
)
TEXT = {".py", ".json", ".txt", ".toml", ".md", ".yaml", ".yml", ".html", ".css", ".mplstyle", ""}
LARGEST = 2 * 2**20  # bytes of a file of code; the largest of the kit is 100 kB

# Credentials that are known by their shape, and a quoted value given to a name that says secret.
SHAPES = re.compile(
    r"KGAT_[0-9A-Za-z_-]{12,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\b(gh[pousr]_[0-9A-Za-z]{30,}|github_pat_\w{20,}|hf_[0-9A-Za-z]{30,}|sk-[0-9A-Za-z_-]{20,})"
    r"""|(?i:key|token|secret|passw(or)?d)["'\]]*\s*[:=]\s*["'][0-9A-Za-z+/_=-]{16,}["']"""
    r"|(?i:(key|token|secret|passw(or)?d)\s*[:=]\s*[0-9a-f]{32,}\b)"
)
NAMES = re.compile(r"(?i)(key|token|secret|password)$")
FILES = re.compile(
    r"(?i)^(kaggle\.json|access_token(\.txt)?|credentials\.json|\.netrc|\.env.*"
    r"|id_(rsa|ed25519|ecdsa)|.*\.(pem|p12|key))$"
)


def code_files(root: Path = ROOT) -> dict[str, bytes]:
    """Path below the checkout -> content. UserError when there is data among the code."""
    paths = []
    for part in PARTS:
        paths += [root / part, *sorted((root / part).rglob("*"))]
    files: dict[str, bytes] = {}
    data = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        if not path.is_file() or "__pycache__" in name or path.suffix == ".pyc":
            continue
        if path.suffix.lower() not in TEXT or path.stat().st_size > LARGEST:
            data.append(name)
            continue
        files[name] = path.read_bytes()
    if data:
        raise UserError(
            f"{len(data)} files among the code are data: {first_five(data)}; move them out "
            "of starter/"
        )
    return files


def own_files(recipe: Recipe) -> dict[str, bytes]:
    """The files of the user's own classes that a recipe names (`path/to/net.py:Class`), by the path
    that the recipe gives where that leads below the working folder, else by the file's name."""
    files = {}
    for name in _strings(yaml.safe_load(to_yaml(recipe))):
        if is_own(name):
            path, _ = split_own(name)
            if not path.is_file():
                raise UserError(f"{name}: there is no file {path} here")
            inside = not path.is_absolute() and ".." not in path.parts
            files[path.as_posix() if inside else path.name] = path.read_bytes()
    return files


def _strings(value: object) -> Iterator[str]:
    """Every text in nested lists and dicts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def refuse_secrets(files: dict[str, bytes]) -> None:
    """UserError naming every place where a file holds a secret, never the secret."""
    known = known_secrets()
    places = [p for name, content in files.items() for p in secrets_in(name, content, known)]
    if places:
        raise UserError(
            f"nothing was packed: {len(places)} places look like a secret: {first_five(places)}; "
            "remove it (and renew it if it was ever shared)"
        )


def known_secrets() -> set[str]:
    """Values of this user's own credentials: of the environment and Kaggle's files."""
    values = {value for name, value in os.environ.items() if NAMES.search(name)}
    home = Path.home() / ".kaggle"
    for name in ("access_token", "access_token.txt"):
        if (home / name).is_file():
            values.add((home / name).read_text(errors="replace"))
    if (home / "kaggle.json").is_file():
        with suppress(ValueError, AttributeError):
            values.add(str(json.loads((home / "kaggle.json").read_text()).get("key", "")))
    return {value.strip() for value in values if len(value.strip()) >= 8}


def secrets_in(name: str, content: bytes, known: set[str]) -> Iterator[str]:
    """Where a file holds a secret, or is one by its name; never what it is."""
    if FILES.match(name.rsplit("/", 1)[-1]):
        yield f"{name} (a file of credentials)"
        return
    text = content.decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if SHAPES.search(line) or any(secret in line for secret in known):
            yield f"{name}:{number}"


def write_zip(target: IO[bytes], files: dict[str, bytes]) -> None:
    """A zip of the files; the same ones give the same bytes."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(2000, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], compress_type=zipfile.ZIP_DEFLATED)
