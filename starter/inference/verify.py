"""verify(run): embed each image once, score the pairs, write the submission."""

from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
from starter.recipe import load
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder, StageFolder


def verify(run: str | Path, *, overrides: Sequence[str] = (), stage: str | None = None) -> dict:
    """Scores a run's pairs and writes its submission.

    Args:
        run: a run folder, or a stage of one (runs/demo/classify).
        overrides: key=value over the run's recipe, e.g. submission.sample=...
        stage: embed with this stage; else `verify.stage`, else the run's best.
    Returns:
        The result, also in runs/<name>/verify/result.json: metrics as fractions.
    Raises:
        UserError: no finished stage, other classes, a damaged checkpoint, a FAR that the labelled
            pairs cannot tell, more parameters than the rules allow, a sample that asks for what the
            run cannot answer; no submission is written then.
    """
    from starter.data import load_catalog
    from starter.inference.conclude import conclude
    from starter.inference.fitted import check_threshold
    from starter.inference.saved import check_parameters, embedded

    folder, recipe, own_stage = open_run(run, overrides)
    catalog = load_catalog(recipe.data)
    check_threshold(recipe, catalog)
    made = embedded(folder, recipe, stage or own_stage, catalog)
    check_parameters(recipe, [made])
    head = {
        "run": folder.path.as_posix(),
        "stage": made.stage,
        "weights": made.weights,
        "stages": folder.read_summary()["stages"],
    }
    return conclude(
        folder, recipe, catalog, made.items_U, made.emb_UD, made.classes, made.made_by, head
    )


def open_run(run: str | Path, overrides: Sequence[str]) -> tuple[RunFolder, Recipe, str | None]:
    """A run folder, its recipe with overrides, and the stage where the path names one of it
    (runs/demo/classify)."""
    path, stage = Path(run), None
    if StageFolder(path).checkpoints.is_dir() and RunFolder(path.parent).recipe.is_file():
        path, stage = path.parent, path.name
    folder = RunFolder.existing(path)
    fusion = folder.read_fusion()
    if fusion is not None:
        names = " ".join(member["run"] for member in fusion["members"])
        raise UserError(
            f"{folder.path} is a fusion and holds no network; run: python verify.py {names} "
            f"--out {folder.path.as_posix()} --fusion {fusion['kind']}"
        )
    return folder, load(folder.recipe, overrides), stage
