"""What stands in a run folder: kept as it is, refused where the recipe changed, or discarded."""

from starter.errors import UserError
from starter.recipe import differences
from starter.recipe.schema import Recipe
from starter.runs.records import Best, Stage, Summary
from starter.stages.gate import best_without
from starter.stages.run import Run
from starter.training.checkpoint import Checkpoint


def descendants(recipe: Recipe, stage: str) -> list[str]:
    """Stages that start from `stage`, directly or not, in order."""
    below: list[str] = []
    for name, section in recipe.stages.items():
        if section.init == stage or section.init in below:
            below.append(name)
    return below


def refuse_changed(run: Run, discarded: list[str]) -> None:
    """Refuses a recipe that says otherwise of a stage that was begun, before anything is written.

    The parents' weights are compared when a stage's turn comes: they may not be trained yet.
    """
    for name in run.recipe.stages:
        record = None if name in discarded else run.folder.read_stage(name)
        if record is None:
            continue
        parent = record.inputs.get("parent")
        assert parent is None or isinstance(parent, str)
        new = run.new_record(name, parent)
        if record.hash != new.hash:
            raise UserError(
                f"{run.folder.stage(name)} was trained with other settings:\n  "
                + "\n  ".join(differences(record.inputs, new.inputs))
                + f"\nkeep it by choosing another name=..., or discard it with --fresh {name}"
            )


def stage_record(run: Run, name: str, parent: Checkpoint | None) -> Stage:
    """The stage's record: the one it has, else a new one that is not finished.

    Raises:
        UserError: it was trained from other weights than its parent has now.
    """
    new = run.new_record(name, None if parent is None else parent.weights_hash)
    record = run.folder.read_stage(name)
    if record is not None and record.hash != new.hash:
        raise UserError(
            f"{run.folder.stage(name)} was trained from other weights than "
            f"{run.recipe.stages[name].init} has now: keep it by choosing another name=..., or "
            f"discard it with --fresh {name}"
        )
    return record or new


def discard(run: Run, stages: list[str]) -> None:
    """Removes stages; the run's best becomes what the gates of the others leave."""
    begun = [name for name in stages if run.folder.stage(name).path.exists()]
    if not begun:
        return
    # First, so that a kill in between leaves no best that is gone.
    best = best_without(run, begun)
    Best(stage=best).write(run.folder.best)
    summary = run.folder.read_summary()
    kept = {name: value for name, value in summary.stages.items() if name not in begun}
    Summary(stages=kept, best=best).write(run.folder.summary)
    run.folder.discard(begun)
