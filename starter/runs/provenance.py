"""What a run was made with: commit, versions, device."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from starter.runs.records import Environment

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


def environment(device: str, threads: int, processes: int = 1) -> Environment:
    """What the run ran on: commit, versions, device."""
    return Environment(
        commit=_git("rev-parse", "HEAD"),
        python=platform.python_version(),
        system=platform.platform(),
        device=device,
        threads=threads,
        processes=processes,
        packages={name: _version(name) for name in PACKAGES},
    )


def commit() -> str | None:
    """The commit of the code, "+" after it where the code differs; None outside a git checkout."""
    head = _git("rev-parse", "HEAD")
    return f"{head}+" if head and code_difference() else head


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
