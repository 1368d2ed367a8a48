"""A competition's data where the recipe looks for it: fetched once, continued after an
interruption, unpacked and checked.

In the target folder `.kaggle/` holds the archive until it is unpacked, and then a list of what it
held, by which a finished download is known again.
"""

import logging
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
from starter.files import write_text
from starter.kaggle.client import RETRIES, Client
from starter.kaggle.errors import NotReached, web_page
from starter.kaggle.unzip import Damaged, File, in_words, refuse_without_room, unpack
from starter.recipe import load
from starter.recipe.schema import Recipe
from starter.runs.provenance import ROOT

log = logging.getLogger(__name__)

OURS = ".kaggle"  # hidden, so that no reader of a data set looks into it
AGAIN = "run the same command again, it continues where it stopped"


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
        UserError: see `fetch_data`.
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


def finished(place: Path, competition: str) -> list[File] | None:
    """What an earlier download left, if every file of it is still there with its size."""
    listed = _listed(place, competition)
    if listed is None:
        return None
    for file in listed:
        try:
            size = os.stat(place / file.path).st_size
        except OSError:
            size = -1
        if size != file.size:
            log.info("%s is not as it was downloaded", place / file.path)
            return None
    (place / OURS / f"{competition}.zip").unlink(missing_ok=True)  # killed just before
    return listed


def fetch_data(client: Client, place: Path, *, replace: bool = False) -> list[File]:
    """Fetches the archive of the client's competition and unpacks it into a folder.

    Args:
        replace: files that are there and differ are replaced.
    Returns:
        The files, each checked against its CRC.
    Raises:
        UserError: one of starter.kaggle.errors; no room on the disk; see `unpack`.
    """
    if place.exists() and not place.is_dir():
        raise UserError(f"{place} is a file: give a folder with --to DIR")
    archive = place / OURS / f"{client.competition}.zip"
    size = client.call(lambda: _fetch(client, archive), math.inf)
    if not archive.is_file() or (size is not None and archive.stat().st_size != size):
        raise NotReached(f"{archive} is incomplete: {AGAIN}")
    log.info("unpacking %s into %s", in_words(archive.stat().st_size), place)
    try:
        files = unpack(archive, place, replace=replace)
    except Damaged as error:
        archive.unlink()
        raise NotReached(
            f"the archive of {client.competition} came damaged and was removed ({error}): run the "
            "same command again"
        ) from error
    _note(place, client.competition, files)
    archive.unlink()
    return files


def _fetch(client: Client, archive: Path) -> int | None:
    """Lets the client fetch the archive, or the rest of it; its size where the server tells."""
    from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

    api = client.api
    request = ApiDownloadDataFilesRequest()
    request.competition_name = client.competition
    with api.build_kaggle_client() as kaggle:
        response = kaggle.competitions.competition_api_client.download_data_files(request)
        if "text/html" in response.headers.get("Content-Type", ""):
            raise web_page(AGAIN)
        length = response.headers.get("Content-Length")
        size = int(length) if length else None
        archive.parent.mkdir(parents=True, exist_ok=True)
        have = archive.stat().st_size if archive.is_file() else 0
        if size is not None:
            refuse_without_room(archive.parent, max(0, size - have), "the archive takes")
        if api.download_needed(response, str(archive), True):
            words = in_words(size) if size is not None else "the archive"
            log.info("%s %s of %s", "continuing" if have else "fetching", words, client.competition)
            api.download_file(
                response,
                str(archive),
                kaggle.http_client(),
                resume=True,
                quiet=not sys.stderr.isatty(),
                max_retries=RETRIES,
            )
        return size


def _listed(place: Path, competition: str) -> list[File] | None:
    try:
        lines = (place / OURS / f"{competition}.tsv").read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t", 2) for line in lines]
        return [File(int(size), int(crc, 16), path) for size, crc, path in rows]
    except (OSError, ValueError):
        return None


def _note(place: Path, competition: str, files: list[File]) -> None:
    """.kaggle/<competition>.tsv: size, CRC and path of every file, whole or not there."""
    lines = [f"{f.size}\t{f.crc:08x}\t{f.path}\n" for f in files]
    write_text(place / OURS / f"{competition}.tsv", "".join(lines))
