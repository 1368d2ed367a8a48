"""Secrets and data that must not leave in a file that is handed in or uploaded."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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
