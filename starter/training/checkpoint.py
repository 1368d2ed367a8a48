"""Checkpoints: a folder per step, renamed once complete, and pointers replaced atomically."""

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
from starter.runs.folder import CheckpointFolder, Pointer, StageFolder

log = logging.getLogger(__name__)

POINTERS: tuple[Pointer, ...] = ("last", "best")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    folder: CheckpointFolder
    meta: dict

    @property
    def step(self) -> int:
        """Updates done."""
        return self.meta["step"]

    @property
    def weights_hash(self) -> str:
        """sha256 of weights.safetensors, hex: the identity of these weights."""
        return self.meta["sha256"][self.folder.weights.name]

    def weights(self) -> dict[str, torch.Tensor]:
        """The tensors by name, on the CPU. UserError when the file is damaged."""
        from safetensors.torch import load_file

        self.require_whole(self.folder.weights)
        return load_file(self.folder.weights)

    def resume(self) -> dict:
        """What continues the run: plain tensors and Python values."""
        self.require_whole(self.folder.resume)
        return torch.load(self.folder.resume, weights_only=True, map_location="cpu")

    def require_whole(self, path: Path) -> None:
        actual = sha256(path) if path.is_file() else None
        if actual != self.meta["sha256"][path.name]:
            state = "is missing" if actual is None else "is damaged (its checksum differs)"
            stage = self.folder.stage.name
            raise UserError(
                f"{path} {state}; train the stage again with --fresh {stage}, or put a copy back"
            )


def save(
    stage_folder: StageFolder, weights: dict, meta: dict, resume: dict, *, best_step: int
) -> Checkpoint:
    """Writes the checkpoint of `meta["step"]`, then moves best, then last, then cleans up.

    In this order a kill at any point leaves a `last` that is complete and a `best` that exists.

    Raises:
        UserError: the disk is full; the checkpoints that were there are untouched.
    """
    from safetensors.torch import save_file

    root = stage_folder.checkpoints
    root.mkdir(parents=True, exist_ok=True)
    target = stage_folder.checkpoint(meta["step"])
    part = stage_folder.unfinished_checkpoint(meta["step"])
    try:
        shutil.rmtree(part.path, ignore_errors=True)
        part.path.mkdir()
        save_file({k: v.contiguous() for k, v in weights.items()}, part.weights)
        torch.save(resume, part.resume)
        meta = meta | {"sha256": {p.name: sha256(p) for p in (part.weights, part.resume)}}
        write_json(part.meta, meta)
        if target.path.exists():  # the same step saved again: its content is the same
            shutil.rmtree(target.path)
        os.replace(part.path, target.path)
        write_json(stage_folder.pointer("best"), {"step": best_step})
        write_json(stage_folder.pointer("last"), {"step": meta["step"]})
    except Exception as error:
        shutil.rmtree(part.path, ignore_errors=True)
        if not is_disk_full(error):
            raise
        raise UserError(
            f"{root}: the disk is full, checkpoint {meta['step']} was not written; the one "
            "before it is whole: free some space and run the same command to continue"
        ) from None
    remove_unnamed(stage_folder)
    return Checkpoint(target, meta)


def find(stage_folder: StageFolder, pointer: Pointer) -> Checkpoint | None:
    """The checkpoint that `last` or `best` names; None where there is none yet."""
    path = stage_folder.pointer(pointer)
    if not path.is_file():
        return None
    step = read_json(path).get("step")
    if step is None:
        raise UserError(f"{path} is damaged: it names no step")
    return open_checkpoint(stage_folder.checkpoint(step))


def open_checkpoint(folder: CheckpointFolder) -> Checkpoint:
    """Reads meta.json. UserError where it is missing, not JSON or not a checkpoint's."""
    meta = read_json(folder.meta)
    absent = [key for key in ("step", "sha256") if key not in meta]
    if absent:
        raise UserError(f"{folder.meta} is damaged: it lacks {', '.join(absent)}")
    return Checkpoint(folder, meta)


def point_best(stage_folder: StageFolder, step: int) -> None:
    """Moves `best` back to where the resumed run stood, if a kill left it further on."""
    write_json(stage_folder.pointer("best"), {"step": step})


def remove_unnamed(stage_folder: StageFolder) -> None:
    """Removes every step that no pointer names, and unfinished ones."""
    named = set()
    for pointer in POINTERS:
        with contextlib.suppress(FileNotFoundError):
            named.add(str(json.loads(stage_folder.pointer(pointer).read_text())["step"]))
    for entry in stage_folder.checkpoints.iterdir():
        if entry.is_dir() and entry.name not in named:
            shutil.rmtree(entry)
