"""The kit as a private dataset and a script kernel on Kaggle's GPUs; its state and its output."""

import hashlib
import io
import json
import logging
import re
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from starter.kaggle.client import Client
from starter.kaggle.errors import NotReached, Refused, line

log = logging.getLogger(__name__)

GPU, GPUS = "NvidiaTeslaT4", 2  # a kernel that names none may get a retired one
READY_WAIT, READY_TIMEOUT = 5.0, 300.0  # seconds: between looks at a dataset, and in all
LONGEST_SESSION = 12.0  # hours of a GPU session
NEEDS = {
    "timm": "timm",
    "albumentations": "albumentations==2.0.8",
    "pydantic": "pydantic>=2.11",
    "safetensors": "safetensors",
    "cv2": "opencv-python-headless<5",
}
INVALID = ("tags", "dataset_sources", "competition_sources", "kernel_sources", "model_sources")


@dataclass(frozen=True)
class Job:
    """A run on Kaggle: what is mounted (competition, datasets) and what train.py is told."""

    name: str
    competition: str | None
    commit: str | None = None
    datasets: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    sample: str | None = None
    demo: bool = False
    internet: bool = False
    again: bool = False
    processes: int = 1
    max_hours: float = LONGEST_SESSION - 0.5


def slug_of(name: str, ending: str) -> str:
    """`name` as Kaggle spells it in an address: 6 to 50 characters with its ending."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{plain[: 49 - len(ending)].rstrip('-')}-{ending}"


def kernel_of(user: str, name: str) -> str:
    """USER/SLUG of the kernel that trains the run of this name."""
    return f"{user}/{slug_of(name, 'train')}"


def pack(files: dict[str, bytes]) -> tuple[bytes, str]:
    """kit.zip, and the hash by which the kernel knows that the right kit is mounted."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(name.encode() + b"\0" + files[name] + b"\0")
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        listed = "".join(f"{name}\n" for name in sorted(files)).encode()
        for name, content in sorted((files | {"kit.sha256": listed}).items()):
            entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED)
    return held.getvalue(), total.hexdigest()


def push_kernel(client: Client, files: dict[str, bytes], job: Job) -> dict:
    """Uploads the kit, waits until Kaggle has it ready, starts the kernel.

    Returns:
        kernel, dataset, url, version.
    Raises:
        UserError: Kaggle took one of them not, or a source of the kernel is none.
    """
    user = client.user
    dataset = f"{user}/{slug_of(job.name, 'kit')}"
    archive, kit = pack(files)
    _upload(client, dataset, archive)
    _wait_until_ready(client, dataset)
    kernel = kernel_of(user, job.name)
    metadata = {
        "id": kernel,
        "title": kernel.split("/")[1].replace("-", " "),
        "code_file": "run.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": job.internet,
        "machine_shape": GPU,
        "dataset_sources": [dataset, *job.datasets],
        "competition_sources": [job.competition] if job.competition else [],
        "kernel_sources": [kernel] if job.again else [],
        "model_sources": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernel-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        Path(folder, "run.py").write_text(script(job, kit), encoding="utf-8")
        answer = client.call(lambda: client.api.kernels_push(folder))
    wrong = [
        f"{kind}: {', '.join(names)}"
        for kind in INVALID
        if (names := getattr(answer, f"invalid_{kind}", None))
    ]
    if answer.error or wrong or not answer.version_number:
        why = "; ".join([line(answer.error or "no version"), *wrong])
        raise Refused(f"Kaggle did not take the kernel {kernel}: {client.scrub(why)}")
    return {
        "kernel": kernel,
        "dataset": dataset,
        "url": answer.url,
        "version": answer.version_number,
    }


def script(job: Job, kit: str) -> str:
    """bootstrap.py with the job's settings."""
    settings = {
        "name": job.name,
        "kit": kit,
        "commit": job.commit,
        "internet": job.internet,
        "continue": job.again,
        "processes": job.processes,
        "demo": job.demo,
        "sample": job.sample,
        "needs": NEEDS,
        "changes": [f"train.max_hours={job.max_hours:g}", *job.changes],
        "sources": [*([job.competition] if job.competition else []), *job.datasets],
    }
    text = Path(__file__).with_name("bootstrap.py").read_text(encoding="utf-8")
    mark = "SETTINGS: dict = {}\n"
    assert text.count(mark) == 1
    return text.replace(mark, f"SETTINGS: dict = {settings!r}\n")


def kernel_status(client: Client, kernel: str) -> dict:
    """kernel, status (QUEUED, RUNNING, COMPLETE, ERROR, ...) and Kaggle's reason for a failure."""
    answer = client.call(lambda: client.api.kernels_status(kernel))
    return {
        "kernel": kernel,
        "status": answer.status.name,
        "failure": client.scrub(line(answer.failure_message or "")) or None,
    }


def fetch_output(client: Client, kernel: str, folder: Path) -> list[Path]:
    """Downloads the output of a kernel's last run into `folder`."""
    files, _ = client.call(lambda: client.api.kernels_output(kernel, str(folder), force=True))
    return [Path(file) for file in files]


def _upload(client: Client, dataset: str, archive: bytes) -> None:
    slug = dataset.split("/")[1]
    metadata = {"id": dataset, "title": slug, "licenses": [{"name": "other"}]}
    exists = _dataset_status(client, dataset) is not None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "dataset-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        Path(folder, "kit.zip").write_bytes(archive)
        api = client.api
        if exists:
            answer = client.call(lambda: api.dataset_create_version(folder, "push", quiet=True))
        else:
            answer = client.call(lambda: api.dataset_create_new(folder, public=False, quiet=True))
    if answer is None or answer.error or str(answer.status or "").lower() == "error":
        why = line(getattr(answer, "error", None) or "no answer")
        raise Refused(f"Kaggle did not take the dataset {dataset}: {client.scrub(why)}")
    log.info("kaggle: %s: %d KiB of code, private", dataset, len(archive) // 1024)


def _dataset_status(client: Client, dataset: str) -> str | None:
    """ready, pending, ...; None where there is no such dataset (Kaggle says 403 or 404)."""
    import requests

    def ask() -> str | None:
        try:
            return str(client.api.dataset_status(dataset))
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code in (403, 404):
                return None
            raise

    return client.call(ask)


def _wait_until_ready(client: Client, dataset: str) -> None:
    """A kernel that starts earlier finds the version before, or nothing."""
    end = time.monotonic() + READY_TIMEOUT
    while (state := _dataset_status(client, dataset)) != "ready":
        if state in ("failed", "deleted"):
            raise Refused(f"Kaggle could not unpack the dataset {dataset} ({state}): push again")
        if time.monotonic() > end:
            raise NotReached(f"{dataset} is not ready after {READY_TIMEOUT:g} s: push again")
        log.info("kaggle: %s is %s", dataset, state or "not listed yet")
        time.sleep(READY_WAIT)
