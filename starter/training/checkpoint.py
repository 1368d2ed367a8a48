"""Checkpoints: a folder per step, renamed once complete, and pointers replaced atomically.

<stage>/checkpoints/<step>/weights.safetensors   embedder and heads (averaged, when EMA is on)
                           meta.json             what they are, with checksums
                           resume.pt             what continues the run
<stage>/checkpoints/last.json, best.json         {"step": ...}
"""

import contextlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from starter.errors import UserError
from starter.files import is_disk_full, read_json, sha256, write_json

log = logging.getLogger(__name__)

WEIGHTS, META, RESUME = "weights.safetensors", "meta.json", "resume.pt"
POINTERS = ("last", "best")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    folder: Path
    meta: dict

    @property
    def step(self) -> int:
        """Updates done."""
        return self.meta["step"]

    @property
    def weights_hash(self) -> str:
        """sha256 of weights.safetensors, hex: the identity of these weights."""
        return self.meta["sha256"][WEIGHTS]

    def weights(self) -> dict[str, torch.Tensor]:
        """The tensors by name, on the CPU. UserError when the file is damaged."""
        from safetensors.torch import load_file

        self._assert_whole(WEIGHTS)
        return load_file(self.folder / WEIGHTS)

    def resume(self) -> dict:
        """What continues the run: plain tensors and Python values."""
        self._assert_whole(RESUME)
        return torch.load(self.folder / RESUME, weights_only=True, map_location="cpu")

    def _assert_whole(self, name: str) -> None:
        path = self.folder / name
        found = sha256(path) if path.is_file() else "missing"
        if found != self.meta["sha256"][name]:
            state = "is missing" if found == "missing" else "is damaged (its checksum differs)"
            stage = self.folder.parent.parent.name
            raise UserError(
                f"{path} {state}; train the stage again with --fresh {stage}, or put a copy back"
            )


def save(
    stage_folder: Path, weights: dict, meta: dict, resume: dict, *, best_step: int
) -> Checkpoint:
    """Writes the checkpoint of `meta["step"]`, then moves best, then last, then cleans up.

    In this order a kill at any point leaves a `last` that is complete and a `best` that exists.

    Raises:
        UserError: the disk is full; the checkpoints that were there are untouched.
    """
    from safetensors.torch import save_file

    root = stage_folder / "checkpoints"
    root.mkdir(parents=True, exist_ok=True)
    target = root / str(meta["step"])
    part = root / f".part-{meta['step']}"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        save_file({k: v.contiguous() for k, v in weights.items()}, part / WEIGHTS)
        torch.save(resume, part / RESUME)
        meta = meta | {"sha256": {name: sha256(part / name) for name in (WEIGHTS, RESUME)}}
        write_json(part / META, meta)
        if target.exists():  # the same step saved again: its content is the same
            shutil.rmtree(target)
        os.replace(part, target)
        write_json(root / "best.json", {"step": best_step})
        write_json(root / "last.json", {"step": meta["step"]})
    except Exception as error:
        shutil.rmtree(part, ignore_errors=True)
        if not is_disk_full(error):
            raise
        raise UserError(
            f"{root}: the disk is full, checkpoint {meta['step']} was not written; the one "
            "before it is whole: free some space and run the same command to continue"
        ) from None
    remove_unnamed(root)
    return Checkpoint(target, meta)


def find(stage_folder: Path, pointer: str) -> Checkpoint | None:
    """The checkpoint that `last` or `best` names; None where there is none yet."""
    assert pointer in POINTERS
    path = stage_folder / "checkpoints" / f"{pointer}.json"
    if not path.is_file():
        return None
    step = read_json(path).get("step")
    if step is None:
        raise UserError(f"{path} is damaged: it names no step")
    return open_checkpoint(path.parent / str(step))


def open_checkpoint(folder: Path) -> Checkpoint:
    """Reads meta.json. UserError where it is missing, not JSON or not a checkpoint's."""
    meta = read_json(folder / META)
    absent = [key for key in ("step", "sha256") if key not in meta]
    if absent:
        raise UserError(f"{folder / META} is damaged: it lacks {', '.join(absent)}")
    return Checkpoint(folder, meta)


def point_best(stage_folder: Path, step: int) -> None:
    """Moves `best` back to where the resumed run stood, if a kill left it further on."""
    write_json(stage_folder / "checkpoints" / "best.json", {"step": step})


def remove_unnamed(root: Path) -> None:
    """Removes every step that no pointer names, and unfinished ones."""
    named = set()
    for pointer in POINTERS:
        with contextlib.suppress(FileNotFoundError):
            named.add(str(json.loads((root / f"{pointer}.json").read_text())["step"]))
    for entry in root.iterdir():
        if entry.is_dir() and entry.name not in named:
            shutil.rmtree(entry)
