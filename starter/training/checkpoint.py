"""Checkpoints: a folder per step, renamed once complete, and pointers replaced atomically."""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from starter.errors import UserError
from starter.files import is_disk_full, sha256
from starter.runs.folder import CheckpointFolder, Pointer, StageFolder
from starter.runs.records import Meta, Step

log = logging.getLogger(__name__)

POINTERS: tuple[Pointer, ...] = ("last", "best")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    folder: CheckpointFolder
    meta: Meta

    @property
    def step(self) -> int:
        """Updates done."""
        return self.meta.step

    @property
    def weights_hash(self) -> str:
        """sha256 of weights.safetensors, hex: the identity of these weights."""
        return self.meta.weights_sha256

    def weights(self) -> dict[str, torch.Tensor]:
        """The tensors by name, on the CPU. UserError when the file is damaged."""
        from safetensors.torch import load_file

        self.require_weights()
        return load_file(self.folder.weights)

    def resume(self) -> dict:
        """What continues the run: plain tensors and Python values."""
        self._require_whole(self.folder.resume, self.meta.resume_sha256)
        return torch.load(self.folder.resume, weights_only=True, map_location="cpu")

    def require_weights(self) -> None:
        """UserError where the weights are missing or damaged; reads all of the file."""
        self._require_whole(self.folder.weights, self.meta.weights_sha256)

    def _require_whole(self, path: Path, expected: str) -> None:
        actual = sha256(path) if path.is_file() else None
        if actual != expected:
            state = "is missing" if actual is None else "is damaged (its checksum differs)"
            stage = self.folder.stage.name
            raise UserError(
                f"{path} {state}; train the stage again with --fresh {stage}, or put a copy back"
            )


def save(
    stage_folder: StageFolder, weights: dict, meta: Meta, resume: dict, *, best_step: int
) -> Checkpoint:
    """Writes the checkpoint of `meta.step`, then moves best, then last, then cleans up.

    In this order a kill at any point leaves a `last` that is complete and a `best` that exists.

    Raises:
        UserError: the disk is full; the checkpoints that were there are untouched.
    """
    from safetensors.torch import save_file

    root = stage_folder.checkpoints
    root.mkdir(parents=True, exist_ok=True)
    target = stage_folder.checkpoint(meta.step)
    part = stage_folder.unfinished_checkpoint(meta.step)
    try:
        shutil.rmtree(part.path, ignore_errors=True)
        part.path.mkdir()
        save_file({k: v.contiguous() for k, v in weights.items()}, part.weights)
        torch.save(resume, part.resume)
        meta = meta.with_checksums(sha256(part.weights), sha256(part.resume))
        meta.write(part.meta)
        if target.path.exists():  # the same step saved again: its content is the same
            shutil.rmtree(target.path)
        os.replace(part.path, target.path)
        Step(step=best_step).write(stage_folder.pointer("best"))
        Step(step=meta.step).write(stage_folder.pointer("last"))
    except Exception as error:
        shutil.rmtree(part.path, ignore_errors=True)
        if not is_disk_full(error):
            raise
        raise UserError(
            f"{root}: the disk is full, checkpoint {meta.step} was not written; the one "
            "before it is whole: free some space and run the same command to continue"
        ) from None
    remove_unnamed(stage_folder)
    return Checkpoint(target, meta)


def find(stage_folder: StageFolder, pointer: Pointer) -> Checkpoint | None:
    """The checkpoint that `last` or `best` names; None where there is none yet."""
    named = Step.find(stage_folder.pointer(pointer))
    if named is None:
        return None
    folder = stage_folder.checkpoint(named.step)
    return Checkpoint(folder, Meta.read(folder.meta))


def point_best(stage_folder: StageFolder, step: int) -> None:
    """Moves `best` back to where the resumed run stood, if a kill left it further on."""
    Step(step=step).write(stage_folder.pointer("best"))


def remove_unnamed(stage_folder: StageFolder) -> None:
    """Removes every step that no pointer names, and unfinished ones."""
    pointers = [Step.find(stage_folder.pointer(pointer)) for pointer in POINTERS]
    named = {str(pointer.step) for pointer in pointers if pointer}
    for entry in stage_folder.checkpoints.iterdir():
        if entry.is_dir() and entry.name not in named:
            shutil.rmtree(entry)
