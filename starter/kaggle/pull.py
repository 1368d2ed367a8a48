"""A run on Kaggle's GPUs: its state, and its output brought back into its run folder."""

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
from starter.files import read_json, write_json
from starter.kaggle.client import Client
from starter.kaggle.errors import line
from starter.kaggle.push import kernel_of
from starter.recipe import load, to_yaml
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder


def status(target: str, changes: Sequence[str] = ()) -> dict:
    """The state of RECIPE's kernel or of USER/SLUG.

    Returns:
        kernel, status (QUEUED, RUNNING, COMPLETE, ERROR, ...), failure: Kaggle's reason for one.
    """
    client, kernel, _ = _open(target, changes)
    answer = client.call(lambda: client.api.kernels_status(kernel))
    return {
        "kernel": kernel,
        "status": answer.status.name,
        "failure": client.scrub(line(answer.failure_message or "")) or None,
    }


def pull(target: str, changes: Sequence[str] = (), *, force: bool = False) -> dict:
    """Brings the run folder back from Kaggle.

    Args:
        target: a recipe, or USER/SLUG of a kernel (its run goes to runs/).
        force: replace a run folder that did not come from this kernel.
    Returns:
        kernel, run (the folder), state ("finished", "stopped early", "failed").
    """
    client, kernel, recipe = _open(target, changes)
    runs = Path(recipe.runs if recipe else "runs")
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=runs) as temporary:
        place = Path(temporary)
        client.call(lambda: client.api.kernels_output(kernel, str(place), force=True), math.inf)
        state = _read_state(place, kernel)
        pulled, run = RunFolder(place / "runs" / state["name"]), RunFolder(runs / state["name"])
        if not pulled.recipe.is_file():
            raise UserError(
                f"{kernel} left no run folder ({state['state']}); see its log on Kaggle"
            )
        _refuse_other(run, kernel, force)
        _use_local_paths(pulled.recipe, recipe, runs)
        if pulled.environment.is_file():  # on Kaggle there is no git checkout to ask
            environment = read_json(pulled.environment)
            commit_there = environment.get("commit") or state.get("commit")
            write_json(pulled.environment, environment | {"commit": commit_there})
        write_json(pulled.kaggle_origin, {"kernel": kernel})
        _replace(run.path, pulled.path, place / "before")
        for log_file in place.glob("*.log"):
            os.replace(log_file, run.kaggle_log)
    return {"kernel": kernel, "run": run.path.as_posix(), "state": state["state"]}


def _open(target: str, changes: Sequence[str]) -> tuple[Client, str, Recipe | None]:
    """The client, the kernel and the recipe that a command means; no recipe for USER/SLUG."""
    if target.endswith((".yaml", ".yml")):
        recipe = load(target, changes)
        client = Client()
        return client, kernel_of(client.user, recipe.name), recipe
    if target.count("/") != 1:
        raise UserError(f"{target} is neither a recipe (.yaml) nor USER/SLUG of a kernel")
    return Client(), target, None


def _use_local_paths(path: Path, recipe: Recipe | None, runs: Path) -> None:
    """The pulled recipe with this machine's places, so that verify.py and submit.py find theirs.

    None of these keys counts in a stage's hash.
    """
    pulled = load(path, [])
    update: dict = {"runs": runs.as_posix()}
    if recipe is not None:
        places = {"root": recipe.data.root, "cache": recipe.data.cache}
        update |= {"data": pulled.data.model_copy(update=places), "submission": recipe.submission}
    path.write_text(to_yaml(pulled.model_copy(update=update)), encoding="utf-8")


def _read_state(place: Path, kernel: str) -> dict:
    """status.json as bootstrap.py wrote it. UserError where there is none."""
    path = place / "status.json"
    if not path.is_file():
        raise UserError(f"{kernel} has no output of a push yet: python -m starter.kaggle status")
    state = read_json(path)
    if Path(state["name"]).name != state["name"]:
        raise UserError(f"{kernel}: its status.json names no run folder: {state['name']!r}")
    return state


def _refuse_other(run: RunFolder, kernel: str, force: bool) -> None:
    """A run folder that was trained elsewhere is not replaced without --force."""
    if not run.path.exists() or force:
        return
    if run.kaggle_origin.is_file() and read_json(run.kaggle_origin).get("kernel") == kernel:
        return
    raise UserError(f"{run} was not trained by {kernel}: keep it elsewhere, or give --force")


def _replace(target: Path, new: Path, before: Path) -> None:
    """Moves a folder to where another may be, which comes back where that fails."""
    if target.exists():
        os.replace(target, before)
    try:
        os.replace(new, target)
    except OSError:
        if before.exists():
            os.replace(before, target)
        raise
