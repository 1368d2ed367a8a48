"""A competition's data brought to where the recipe looks for it."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
from starter.kaggle.client import Client
from starter.kaggle.download import AGAIN, fetch_data, finished
from starter.kaggle.unzip import in_words
from starter.recipe import load
from starter.recipe.schema import Recipe
from starter.runs.provenance import ROOT

log = logging.getLogger(__name__)


def download(
    target: str,
    changes: Sequence[str] = (),
    *,
    competition: str | None = None,
    to: str | None = None,
    force: bool = False,
) -> dict:
    """Downloads and unpacks a competition's data.

    Args:
        target: the competition (the last part of its address), or a recipe: its
            submission.competition.
        changes: overlays and key=value that override the recipe.
        competition: overrides submission.competition, where a course has two of them.
        to: the folder; else the recipe's data.root, for a competition that of the recipe in
            configs/ that submits to it, else data/<competition>.
        force: fetch what is there already, and replace files that differ.
    Returns:
        competition, root (the folder), files, bytes, size (in words), state ("downloaded" or "there
        already"), next (the command).
    Raises:
        UserError: see starter.kaggle.download.
    """
    path = target if target.endswith((".yaml", ".yml")) else None
    recipe = load(target, changes) if path else None
    if recipe is None and (changes or competition):
        raise UserError(f"{target} is no recipe: there is nothing to change; give RECIPE.yaml")
    slug = _slug(competition or (recipe.submission.competition if recipe else target))
    if recipe is None:
        path, recipe = _shipped(slug)
    place = _expanded(to or (recipe.data.root if recipe else f"data/{slug}"))
    files = None if force else finished(place, slug)
    state = "there already" if files is not None else "downloaded"
    if files is None:
        files = fetch_data(Client(slug, again=AGAIN), place, replace=force)
    moved = f" data.root={place.as_posix()}" if recipe is None or to else ""
    total = sum(file.size for file in files)
    return {
        "competition": slug,
        "root": place.as_posix(),
        "files": len(files),
        "bytes": total,
        "size": in_words(total),
        "state": state,
        "next": f"python -m starter.data inspect {path or 'RECIPE'}{moved}",
    }


def _slug(text: str | None) -> str:
    """A competition's slug, also out of its whole address."""
    if text is None:
        raise UserError(
            "submission.competition is not set: give --competition SLUG, the last part "
            "of the competition's address"
        )
    address = re.search(r"kaggle\.com/(?:competitions|c)/([^/?#]+)", text)
    slug = address.group(1) if address else text
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", slug):
        raise UserError(
            f"{text!r} is neither a recipe (.yaml) nor a competition: give the last "
            "part of its address, as in kaggle.com/competitions/SLUG"
        )
    return slug


def _shipped(slug: str) -> tuple[str | None, Recipe | None]:
    """The first recipe in configs/ that submits to a competition."""
    configs = ROOT / "configs"
    for path in sorted([*configs.glob("*.yaml"), *configs.glob("untested/*.yaml")]):
        if slug in path.read_text(encoding="utf-8"):
            recipe = load(path)
            if recipe.submission.competition == slug:
                return path.relative_to(ROOT).as_posix(), recipe
    return None, None


def _expanded(root: str) -> Path:
    text = os.path.expandvars(root)
    if "$" in text:
        raise UserError(f"{text}: an environment variable in it is not set; give --to DIR")
    return Path(text).expanduser()
