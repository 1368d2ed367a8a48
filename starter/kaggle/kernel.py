"""A run on Kaggle's GPUs: packed and pushed, watched, brought back into its run folder."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
from starter.files import read_json, write_json
from starter.kaggle.client import Client
from starter.kaggle.push import (
    GPUS,
    LONGEST_SESSION,
    Job,
    fetch_output,
    kernel_of,
    kernel_status,
    push_kernel,
)
from starter.recipe import load, to_yaml
from starter.recipe.schema import Recipe
from starter.recipe.shares import refuse_uneven
from starter.runs.folder import RunFolder
from starter.runs.provenance import commit
from starter.submission.code_files import code_files, own_files, refuse_secrets


def push(
    recipe: str | Path,
    changes: Sequence[str] = (),
    *,
    competition: str | None = None,
    attach: Sequence[str] = (),
    internet: bool = False,
    again: bool = False,
) -> dict:
    """Sends the kit and a recipe to Kaggle and starts training there.

    Args:
        changes: overlays (resolved here) and key=value.
        competition: whose data to mount, over submission.competition.
        attach: USER/DATASET to mount too: data, weights or wheels.
        again: continue from the output of the kernel's last run.
    Returns:
        kernel, dataset, url, version.
    """
    resolved = load(recipe, changes)
    slug = competition or resolved.submission.competition
    demo = resolved.data.demo is not None
    _refuse_without_data(slug, attach, demo)
    for name, section in resolved.stages.items():
        refuse_uneven(name, section, GPUS)
    files = code_files() | own_files(resolved)
    files["recipe.yaml"] = to_yaml(resolved).encode()
    refuse_secrets(files)
    longest = LONGEST_SESSION - 0.5
    job = Job(
        name=resolved.name,
        competition=slug,
        commit=commit(),
        datasets=tuple(attach),
        changes=tuple(change for change in changes if change.startswith("data.root=")),
        sample=resolved.submission.sample,
        demo=demo,
        internet=internet,
        again=again,
        processes=GPUS,
        max_hours=min(resolved.train.max_hours or longest, longest),
    )
    return push_kernel(Client(), files, job)


def _refuse_without_data(slug: str | None, attach: Sequence[str], demo: bool) -> None:
    if not (slug or attach or demo):
        raise UserError(
            "no data to train on there: set submission.competition, give --competition SLUG, or "
            "--attach USER/DATASET"
        )
    wrong = [name for name in attach if name.count("/") != 1]
    if wrong:
        raise UserError(f"--attach {wrong[0]}: give USER/DATASET, as in the dataset's address")


def status(target: str, changes: Sequence[str] = ()) -> dict:
    """kernel, status, failure of RECIPE's kernel or of USER/SLUG."""
    recipe = _recipe(target, changes)
    client = Client()
    return kernel_status(client, _kernel(client, target, recipe))


def pull(target: str, changes: Sequence[str] = (), *, force: bool = False) -> dict:
    """Brings the run folder back from Kaggle.

    Args:
        target: a recipe, or USER/SLUG of a kernel (its run goes to runs/).
        force: replace a run folder that did not come from this kernel.
    Returns:
        kernel, run (the folder), state ("finished", "stopped early", "failed").
    """
    recipe = _recipe(target, changes)
    client = Client()
    kernel = _kernel(client, target, recipe)
    runs = Path(recipe.runs if recipe else "runs")
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=runs) as temporary:
        place = Path(temporary)
        fetch_output(client, kernel, place)
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


def _recipe(target: str, changes: Sequence[str]) -> Recipe | None:
    """The recipe at `target`; None for USER/SLUG of a kernel."""
    if target.endswith((".yaml", ".yml")):
        return load(target, changes)
    if target.count("/") != 1:
        raise UserError(f"{target} is neither a recipe (.yaml) nor USER/SLUG of a kernel")
    return None


def _kernel(client: Client, target: str, recipe: Recipe | None) -> str:
    return target if recipe is None else kernel_of(client.user, recipe.name)


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
