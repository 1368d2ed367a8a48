"""The kit as a private dataset and a script kernel on Kaggle's GPUs, which trains a recipe."""

import hashlib
import io
import json
import logging
import math
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
from starter.kaggle.client import Client
from starter.kaggle.errors import NotReached, Refused, line
from starter.recipe import load, to_yaml
from starter.recipe.schema.train import refuse_uneven
from starter.runs.folder import RunFolder
from starter.runs.provenance import commit
from starter.submission.code_files import code_files, own_files, refuse_secrets, write_zip

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


def push(
    target: str | Path,
    changes: Sequence[str] = (),
    *,
    competition: str | None = None,
    attach: Sequence[str] = (),
    internet: bool = False,
    again: bool = False,
) -> dict:
    """Sends the kit and a recipe to Kaggle and starts training there.

    Args:
        target: the recipe.
        changes: overlays (resolved here) and key=value.
        competition: whose data to mount, over submission.competition.
        attach: USER/DATASET to mount too: data, weights or wheels.
        again: continue from the output of the kernel's last run.
    Returns:
        kernel, dataset, url, version.
    """
    resolved = load(target, changes)
    slug = competition or resolved.submission.competition
    demo = resolved.data.demo is not None
    _refuse_without_data(slug, attach, demo)
    for name, section in resolved.stages.items():
        refuse_uneven(name, section, GPUS)
    files = code_files() | own_files(resolved)
    files["recipe.yaml"] = to_yaml(resolved).encode()
    refuse_secrets(files)
    longest = LONGEST_SESSION - 0.5
    hours = min(resolved.train.max_hours or longest, longest)
    competitions = [slug] if slug else []
    settings = {  # of bootstrap.py
        "name": resolved.name,
        "run": RunFolder(Path("runs", resolved.name)).recipe.as_posix(),
        "commit": commit(),
        "internet": internet,
        "continue": again,
        "processes": GPUS,
        "demo": demo,
        "sample": resolved.submission.sample,
        "changes": [
            f"train.max_hours={hours:g}",
            *(change for change in changes if change.startswith("data.root=")),
        ],
        "sources": [*competitions, *attach],
    }
    mounted = {"dataset_sources": [*attach], "competition_sources": competitions}
    return _push_kernel(Client(), files, settings, mounted)


def _refuse_without_data(slug: str | None, attach: Sequence[str], demo: bool) -> None:
    if not (slug or attach or demo):
        raise UserError(
            "no data to train on there: set submission.competition, give --competition SLUG, or "
            "--attach USER/DATASET"
        )
    wrong = [name for name in attach if name.count("/") != 1]
    if wrong:
        raise UserError(f"--attach {wrong[0]}: give USER/DATASET, as in the dataset's address")


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
    write_zip(held, files | {"kit.sha256": "".join(f"{name}\n" for name in sorted(files)).encode()})
    return held.getvalue(), total.hexdigest()


def _push_kernel(client: Client, files: dict[str, bytes], settings: dict, mounted: dict) -> dict:
    """Uploads the kit, waits until Kaggle has it ready, starts the kernel.

    Raises:
        UserError: Kaggle did not take one of them, or a source of the kernel does not exist.
    """
    name, user = settings["name"], client.user
    dataset = f"{user}/{slug_of(name, 'kit')}"
    archive, kit = pack(files)
    _upload(client, dataset, archive)
    _wait_until_ready(client, dataset)
    kernel = kernel_of(user, name)
    metadata = mounted | {
        "id": kernel,
        "title": kernel.split("/")[1].replace("-", " "),
        "code_file": "run.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": settings["internet"],
        "machine_shape": GPU,
        "dataset_sources": [dataset, *mounted["dataset_sources"]],
        "kernel_sources": [kernel] if settings["continue"] else [],
        "model_sources": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernel-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        Path(folder, "run.py").write_text(script(settings, kit), encoding="utf-8")
        answer = client.call(lambda: client.api.kernels_push(folder))
    wrong = [
        f"{kind}: {', '.join(names)}"
        for kind in INVALID
        if (names := getattr(answer, f"invalid_{kind}", None))
    ]
    if answer.error or wrong or not answer.version_number:
        why = "; ".join([line(answer.error or "no version"), *wrong])
        raise Refused(f"Kaggle did not accept the kernel {kernel}: {client.scrub(why)}")
    return {
        "kernel": kernel,
        "dataset": dataset,
        "url": answer.url,
        "version": answer.version_number,
    }


def script(settings: dict, kit: str) -> str:
    """bootstrap.py with its settings filled in. kit: the hash of what is mounted."""
    filled = {"kit": kit, "needs": NEEDS} | settings
    text = Path(__file__).with_name("bootstrap.py").read_text(encoding="utf-8")
    mark = "SETTINGS: dict = {}\n"
    assert text.count(mark) == 1
    return text.replace(mark, f"SETTINGS: dict = {filled!r}\n")


def _upload(client: Client, dataset: str, archive: bytes) -> None:
    slug = dataset.split("/")[1]
    metadata = {"id": dataset, "title": slug, "licenses": [{"name": "other"}]}
    exists = _dataset_status(client, dataset) is not None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "dataset-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        Path(folder, "kit.zip").write_bytes(archive)
        api = client.api
        if exists:
            answer = client.call(
                lambda: api.dataset_create_version(folder, "push", quiet=True), math.inf
            )
        else:
            answer = client.call(
                lambda: api.dataset_create_new(folder, public=False, quiet=True), math.inf
            )
    if answer is None or answer.error or str(answer.status or "").lower() == "error":
        why = line(getattr(answer, "error", None) or "no answer")
        raise Refused(f"Kaggle did not accept the dataset {dataset}: {client.scrub(why)}")
    log.info("kaggle: %s: %d KiB of code, private", dataset, len(archive) // 1024)


def _dataset_status(client: Client, dataset: str) -> str | None:
    """ready, pending, ...; None where there is no such dataset (Kaggle says 403 or 404)."""
    return client.find(lambda: str(client.api.dataset_status(dataset)), absent=(403, 404))


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
