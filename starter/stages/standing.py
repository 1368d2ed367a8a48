"""What stands in a run folder: kept as it is, refused where the recipe changed, or discarded."""

from pathlib import Path

from starter.data import Catalog
from starter.errors import UserError
from starter.recipe import differences
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder, StageFolder
from starter.runs.records import Best, Stage, Summary
from starter.stages.gate import best_without
from starter.stages.stage_hash import identity, identity_hash
from starter.training import checkpoint
from starter.training.checkpoint import Checkpoint


def descendants(recipe: Recipe, stage: str) -> list[str]:
    """Stages that start from `stage`, directly or not, in order."""
    found: list[str] = []
    for name, section in recipe.stages.items():
        if section.init == stage or section.init in found:
            found.append(name)
    return found


def refuse_changed(
    folder: RunFolder, recipe: Recipe, catalog: Catalog, discarded: list[str]
) -> None:
    """Refuses a recipe that says otherwise of a stage that was begun, before anything is written.

    The parents' weights are compared when a stage's turn comes: they may not be trained yet.
    """

    for name in recipe.stages:
        record = None if name in discarded else folder.read_stage(name)
        if record is None:
            continue
        parent = record.inputs.get("parent")
        assert parent is None or isinstance(parent, str)
        own = identity(recipe, name, catalog.fingerprint(), parent)
        if record.hash != identity_hash(own):
            raise UserError(
                f"{folder.stage(name)} was trained with other settings:\n  "
                + "\n  ".join(differences(record.inputs, own))
                + f"\nkeep it by choosing another name=..., or discard it with --fresh {name}"
            )


def discard(folder: RunFolder, recipe: Recipe, catalog: Catalog, stages: list[str]) -> None:
    """Removes stages; the run's best becomes what the gates of the others leave."""

    there = [name for name in stages if folder.stage(name).path.exists()]
    if not there:
        return
    # First, so that a kill in between leaves no best that is gone.
    best = best_without(folder, recipe, there, catalog)
    Best(stage=best).write(folder.best)
    summary = folder.read_summary()
    kept = {name: value for name, value in summary.stages.items() if name not in there}
    Summary(stages=kept, best=best).write(folder.summary)
    folder.discard(there)


def parent_of(folder: RunFolder, recipe: Recipe, name: str) -> Checkpoint | None:
    """The checkpoint a stage starts from: an earlier stage's best, or another run's, or None."""

    init = recipe.stages[name].init
    if init is None:
        return None
    if init in recipe.stages:
        record = folder.read_stage(init)
        if record is None or not record.finished:
            raise UserError(
                f"stage {name} starts from {init}, which is not finished in {folder.path}; "
                f"run it first: --stage {init}"
            )
        place = folder.stage(init)
    else:
        place = StageFolder(Path(init).expanduser())
    found = checkpoint.find(place, "best")
    if found is None:
        raise UserError(f"stages.{name}.init: {place} holds no checkpoint of a stage")
    return found


def stage_record(
    folder: RunFolder, recipe: Recipe, name: str, catalog: Catalog, parent: Checkpoint | None
) -> Stage:
    """The stage's record: the one it has, else a new one that is not finished.

    Raises:
        UserError: it was trained from other weights than its parent has now.
    """

    parent_hash = None if parent is None else parent.weights_hash
    own = identity(recipe, name, catalog.fingerprint(), parent_hash)
    record = folder.read_stage(name)
    if record is None:
        return Stage(hash=identity_hash(own), inputs=own)
    if record.hash != identity_hash(own):
        raise UserError(
            f"{folder.stage(name)} was trained from other weights than {recipe.stages[name].init} "
            f"has now: keep it by choosing another name=..., or discard it with --fresh {name}"
        )
    return record
