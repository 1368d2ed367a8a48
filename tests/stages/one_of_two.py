"""What each of two processes does in test_processes.py; run with RANK and WORLD_SIZE set.

one_of_two.py PHASE FOLDER
"""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from starter import distributed, losses, train_stage
from starter.api import train
from starter.cli import command
from starter.distributed import joined
from starter.errors import Interrupted, UserError
from starter.hooks import stop
from starter.recipe import load
from starter.training.build import synchronise_batchnorm


def main(phase: str, folder: Path) -> int:
    def work() -> None:
        with joined():
            found = {"begin": begin, "end": end}[phase](folder)
            (folder / f"{phase}-{distributed.rank()}.json").write_text(json.dumps(found))

    return command.run(work, together=True)


def begin(folder: Path) -> dict:
    """What is exchanged, then a run that process 1 alone wants to stop."""
    rank = distributed.rank()
    found = {
        "agreed": [distributed.agreed(None), distributed.agreed("enough" if rank else None)],
        "main_does": distributed.main_does(lambda: rank),
        "embedded": embedded(),
        "sync_batchnorm": refused(),
        "alone": [by_itself() if rank else 1, distributed.world_size()],
    }
    stop_after(6 if rank else None)
    try:
        train(load(folder / "plain.yaml", []))
    except Interrupted as error:
        found["stopped"] = str(error)
    return found


def end(folder: Path) -> dict:
    """The rest of that run, then an ordinary one with the weights of every checkpoint."""
    train(load(folder / "plain.yaml", []))
    hashes: list[str] = []
    write = train_stage.save

    def save(job, state, *arguments):
        for learner in (state.learner, state.evaluated):
            hashes.append(digest(learner))
        write(job, state, *arguments)

    train_stage.save = save
    minutes = ["stages.finetune.epochs=null", "stages.finetune.minutes=0.01"]
    summary = train(load(folder / "tiny.yaml", minutes))
    return {"hashes": hashes, "summary": summary.model_dump(mode="json")}


def stop_after(asked: int | None) -> None:
    """Has the loop be given a reason when it asks for the n-th time."""
    asks = iter(range(1, 10**6))
    stop.Stopper.reason = lambda self, hours: "enough" if next(asks) == asked else None


def embedded() -> list:
    """Rows of 7 images in batches of 2, and of 1 image, which leaves a process none."""
    found = []
    for images in (7, 1):
        shares = distributed.embed_shares(images, 2)
        rows = np.arange(images, dtype=np.float32)[shares[distributed.rank()]]
        own_mD = np.stack([rows, -rows], 1) if len(rows) else np.zeros((0, 0), np.float32)
        found.append(distributed.gather(own_mD, shares).tolist())
    return found


def refused() -> str:
    try:
        job = SimpleNamespace(name="classify", device=torch.device("cpu"))
        synchronise_batchnorm(torch.nn.Sequential(), job)
    except UserError as error:
        return str(error)
    return ""


def by_itself() -> int:
    """A head with statistics of its own, on one process only: the other would wait for ever."""
    head = losses.build("adaface", embedding=4, classes=3)
    with distributed.alone():
        head(torch.ones(2, 4), torch.tensor([0, 2])).backward()
        return distributed.world_size()


def digest(module: torch.nn.Module) -> str:
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(name.encode() + value.contiguous().numpy().tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
