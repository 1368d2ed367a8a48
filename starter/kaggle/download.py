"""A competition's data: fetched once, gone on with after an interruption, unpacked and checked.

In the target folder `.kaggle/` holds the archive until it is unpacked, and then a list of what it
held, by which a finished download is known again.
"""

import logging
import os
import sys
from pathlib import Path

from starter.errors import UserError
from starter.files import write_text
from starter.kaggle.client import RETRIES, Client
from starter.kaggle.errors import NotReached, web_page
from starter.kaggle.unzip import Damaged, File, in_words, refuse_without_room, unpack

log = logging.getLogger(__name__)

OURS = ".kaggle"  # hidden, so that no reader of a data set looks into it
AGAIN = "run the same command again, it goes on where it stopped"


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
    size = client.call(lambda: _fetch(client, archive))
    if not archive.is_file() or (size is not None and archive.stat().st_size != size):
        raise NotReached(f"{archive} is not whole: {AGAIN}")
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
            log.info(
                "%s %s of %s", "going on with" if have else "fetching", words, client.competition
            )
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
