"""A run folder: what is in runs/<name>/ and how it is read back."""

import contextlib
import dataclasses
import json
import logging
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from starter.errors import UserError

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent.parent  # git's paths are relative to where it runs
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "numpy",
    "scikit-learn",
)


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """runs/<name>/."""

    path: Path

    @classmethod
    def existing(cls, path: str | Path) -> "RunFolder":
        """The run folder at `path`. UserError when it is none, naming those that are near."""
        folder = Path(path)
        if (folder / "recipe.yaml").is_file():
            return cls(folder)
        near = sorted(p.parent.as_posix() for p in folder.parent.glob("*/recipe.yaml"))
        hint = f"; run folders there: {', '.join(near)}" if near else ""
        raise UserError(f"{folder} is no run folder (it has no recipe.yaml){hint}")

    @property
    def submission(self) -> Path:
        """The file to hand in."""
        return self.path / "submission.csv"

    @property
    def verify(self) -> Path:
        """Embeddings, scores and thresholds of verify.py."""
        return self.path / "verify"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No other process trains in the folder while the body runs; UserError where one does.

        The system lets go of the lock when its process ends, however it ends.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(self.path / ".lock").acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{self.path.as_posix()}: another process is training there; wait until it has "
                "ended, or train beside it with name=ANOTHER"
            ) from None
        with lock:
            yield

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.path / name

    def read_stage(self, name: str) -> dict | None:
        """stage.json of a stage, None where it has not begun."""
        return _read(self.stage(name) / "stage.json", ("hash", "identity", "finished"))

    def read_best(self) -> str | None:
        """The stage that the gates left as the run's best."""
        found = _read(self.path / "best.json", ("stage",))
        return None if found is None else found["stage"]

    def read_result(self) -> dict | None:
        """verify/result.json, None before verify.py ran."""
        return _read(self.verify / "result.json", ("stage", "weights"))

    def read_fusion(self) -> dict | None:
        """fusion.json: the runs that verify.py made this folder's result of; None for a run."""
        return _read(self.path / "fusion.json", ("kind", "members"))

    def weights_of(self, stage: str) -> str | None:
        """sha256 of a stage's best weights; None where there are none. Imports no torch."""
        root = self.stage(stage) / "checkpoints"
        best = _read(root / "best.json", ("step",))
        meta = best and _read(root / str(best["step"]) / "meta.json", ("sha256",))
        return None if not meta else meta["sha256"]["weights.safetensors"]

    def read_summary(self) -> dict:
        """summary.json, or an empty one."""
        return _read(self.path / "summary.json", ("stages",)) or {"stages": {}}

    def discard(self, stages: list[str]) -> None:
        """Removes stages, and what was made of them."""
        for name in stages:
            if self.stage(name).exists():
                shutil.rmtree(self.stage(name))
                log.info("%s: discarded", self.stage(name))


def _read(path: Path, keys: tuple[str, ...]) -> dict | None:
    """A JSON file that must hold these keys; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from None
    absent = [key for key in keys if key not in found]
    if absent:
        raise _damaged(path, f"it lacks {absent[0]}")
    return found


def _damaged(path: Path, why: str) -> UserError:
    ours = path.parent.name == "verify" or path.name == "fusion.json"
    writer = "verify.py" if ours else "train.py"
    return UserError(f"{path} is damaged: {why}; remove it and run {writer} again")


def environment(device_name: str, threads: int) -> dict:
    """What the run ran on: commit, versions, device."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device_name,
        "threads": threads,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def commit() -> str | None:
    """The commit of the code, "+" after it where the code differs; None outside a git checkout."""
    found = _git("rev-parse", "HEAD")
    return f"{found}+" if found and code_difference() else found


def code_difference() -> str | None:
    """What the code differs by from its commit; None outside a git checkout."""
    return _git("diff", "HEAD", "--", "*.py", "*.yaml")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
