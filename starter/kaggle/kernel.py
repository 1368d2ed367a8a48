"""A run on Kaggle's GPUs: packed and pushed, watched, brought back into its run folder."""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
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

log = logging.getLogger(__name__)


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
    client = Client()
    return kernel_status(client, _kernel(client, target, changes))


def pull(target: str, changes: Sequence[str] = (), *, force: bool = False) -> dict:
    """Brings the run folder back from Kaggle.

    Args:
        target: a recipe, or USER/SLUG of a kernel (its run goes to runs/).
        force: replace a run folder that did not come from this kernel.
    Returns:
        kernel, run (the folder), state ("finished", "stopped early", "failed").
    """
    recipe = load(target, changes) if _is_recipe(target) else None
    client = Client()
    kernel = _kernel(client, target, changes)
    runs = Path(recipe.runs if recipe else "runs")
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=runs) as held:
        place = Path(held)
        fetch_output(client, kernel, place)
        told = _told(place, kernel)
        new = place / "runs" / told["name"]
        target_folder = runs / told["name"]
        if not (RunFolder(new).recipe).is_file():
            raise UserError(f"{kernel} left no run folder ({told['state']}); see its log on Kaggle")
        _refuse_other(target_folder, kernel, force)
        _at_home(RunFolder(new).recipe, recipe, runs)
        _note_commit(RunFolder(new).environment, told.get("commit"))
        RunFolder(new).kaggle_origin.write_text(json.dumps({"kernel": kernel}), encoding="utf-8")
        if target_folder.exists():
            os.replace(target_folder, place / "before")
        try:
            os.replace(new, target_folder)
        except OSError:
            shutil.move(place / "before", target_folder)
            raise
        for log_file in place.glob("*.log"):
            os.replace(log_file, RunFolder(target_folder).kaggle_log)
    return {"kernel": kernel, "run": target_folder.as_posix(), "state": told["state"]}


def _is_recipe(target: str) -> bool:
    return target.endswith((".yaml", ".yml"))


def _kernel(client, target: str, changes: Sequence[str]) -> str:
    if _is_recipe(target):
        return kernel_of(client.user, load(target, changes).name)
    if target.count("/") != 1:
        raise UserError(f"{target} is neither a recipe (.yaml) nor USER/SLUG of a kernel")
    return target


def _at_home(path: Path, recipe: Recipe | None, runs: Path) -> None:
    """The pulled recipe with this machine's places, so that verify.py and submit.py find theirs.

    None of these keys counts in a stage's hash.
    """
    pulled = load(path, [])
    update: dict = {"runs": runs.as_posix()}
    if recipe is not None:
        places = {"root": recipe.data.root, "cache": recipe.data.cache}
        update |= {"data": pulled.data.model_copy(update=places), "submission": recipe.submission}
    path.write_text(to_yaml(pulled.model_copy(update=update)), encoding="utf-8")


def _note_commit(path: Path, known: str | None) -> None:
    """The commit that was pushed: there is no git checkout on Kaggle to ask."""
    if path.is_file():
        environment = json.loads(path.read_text(encoding="utf-8"))
        environment["commit"] = environment.get("commit") or known
        path.write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")


def _told(place: Path, kernel: str) -> dict:
    path = place / "status.json"
    if not path.is_file():
        raise UserError(f"{kernel} has no output of a push yet: python -m starter.kaggle status")
    told = json.loads(path.read_text(encoding="utf-8"))
    if Path(told["name"]).name != told["name"]:
        raise UserError(f"{kernel}: its status.json names no run folder: {told['name']!r}")
    return told


def _refuse_other(folder: Path, kernel: str, force: bool) -> None:
    """A run folder that was trained elsewhere is not replaced unless asked for."""
    mark = RunFolder(folder).kaggle_origin
    if not folder.exists() or force:
        return
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8"))["kernel"] == kernel:
        return
    raise UserError(f"{folder} was not trained by {kernel}: keep it elsewhere, or give --force")
