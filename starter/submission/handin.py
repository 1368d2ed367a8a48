"""The file to hand in: written from scores and classes, and checked."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.errors import UserError
from starter.recipe import load
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.submission import check, fill, write

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Handin:
    """A file to hand in, and the run it is of (None, None for a bare csv)."""

    csv: Path
    folder: RunFolder | None = None
    recipe: Recipe | None = None


def write_submission(
    folder: RunFolder,
    recipe: Recipe,
    catalog,
    score_P: np.ndarray | None,
    classes,
    match_of_face: Sequence[str] = (),
) -> dict:
    """Writes submission.csv as the sample asks, or the default of `submission.format`.

    Raises:
        UserError: the sample asks for what this data does not have; nothing is written.
    """
    test_M = catalog.index("test")
    pairs = catalog.pairs.get("test")
    if not len(test_M) and pairs is None and not match_of_face:
        log.info("nothing to submit: the data has no test images, test pairs or unknown faces")
        return {"submission": None}
    sample = sample_path(recipe)
    names = [catalog.submission_name(i) for i in test_M]
    class_names = [catalog.classes[k] for k in classes.of(test_M)] if len(test_M) else None
    pair_names = []
    if pairs is not None:
        pair_names = [
            (catalog.submission_name(a), catalog.submission_name(b))
            for a, b in zip(pairs.a_P, pairs.b_P, strict=True)
        ]
    table = fill(
        sample,
        recipe.submission.format,
        test_names=names,
        class_of_test=class_names,
        pair_names=pair_names,
        score_P=score_P,
        classes=catalog.classes,
        match_of_face=match_of_face,
        pair_ids=None if pairs is None else pairs.text_P,
    )
    if table.note:
        log.info("submission: %s", table.note)
    part = folder.submission.with_name(".submission.csv")
    try:  # checked beside: a file that fails does not replace one that did not
        write(table, part)
        raise_errors(part, sample)
        os.replace(part, folder.submission)
    finally:
        part.unlink(missing_ok=True)
    return {
        "submission": folder.submission.as_posix(),
        "rows": len(table.rows),
        "sample": sample and sample.as_posix(),
        "note": table.note,
    }


def sample_path(recipe: Recipe) -> Path | None:
    """The sample submission: as given, or under data.root. UserError when it is nowhere."""
    given = recipe.submission.sample
    if given is None:
        return None
    from starter.data import resolve_root

    plain = Path(given).expanduser()
    places = [plain] if plain.is_absolute() else [resolve_root(recipe.data) / plain, plain]
    for place in places:
        if place.is_file():
            return place
    looked = " or ".join(place.as_posix() for place in places)
    raise UserError(f"submission.sample: no file {looked}")


def answer_demo(folder: RunFolder, recipe: Recipe) -> dict:
    """The score on the held-back answers of the built-in competition; nothing for other data."""
    if recipe.data.demo is None or not folder.submission.is_file():
        return {}
    from starter.data.demo import score
    from starter.metrics import evaluate

    found = score(folder.submission, Path(recipe.data.root))
    answer: dict[str, float] = {}
    if found.predicted_M is not None:
        answer["accuracy"] = float((found.predicted_M == found.label_M).mean())
    if found.score_P is not None and found.same_P is not None:
        answer["eer"] = evaluate(found.score_P, found.same_P)["eer"]
    if len(answer) == 2:
        answer["combined"] = 0.5 * answer["accuracy"] + 0.5 * (1 - answer["eer"])
    return {"answers": answer}


def raise_errors(csv: Path, sample: Path | None) -> list:
    """Checks a file (against its sample); returns warnings. UserError listing every error."""
    problems = check(csv, sample)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise UserError("\n".join(f"{csv}: {problem}" for problem in errors))
    return problems


def checked(target: str | Path, sample: str | Path | None = None) -> tuple[dict, Handin]:
    """Checks a run's submission (or any csv).

    Returns:
        csv, sample and warnings, to print; and what to hand in.
    Raises:
        UserError: the file is wrong in any way, or is not of the weights that the run has now.
    """
    handin = open_target(target)
    if handin.folder is not None:
        _refuse_stale(handin.folder)
    recipe, csv = handin.recipe, handin.csv
    sample_file = Path(sample) if sample else (sample_path(recipe) if recipe else None)
    result: dict = {"csv": csv.as_posix(), "sample": sample_file and sample_file.as_posix()}
    result["warnings"] = [str(problem) for problem in raise_errors(csv, sample_file)]
    if sample_file is None:
        result["warnings"].append("no sample submission to check against: give --sample FILE")
    return result, handin


def open_target(target: str | Path) -> Handin:
    """A run folder with its submission, or a csv file. UserError when it is neither."""
    path = Path(target)
    if path.is_dir():
        folder = RunFolder.existing(path)
        if not folder.submission.is_file():
            raise UserError(f"{folder.submission} is not there; run: python verify.py {target}")
        return Handin(folder.submission, folder, load(folder.recipe, []))
    if not path.is_file():
        raise UserError(f"{target} is neither a run folder nor a file")
    return Handin(path)


def _refuse_stale(folder: RunFolder) -> None:
    """UserError when the submission is not of the weights that the run has now."""
    result = folder.read_result()
    if result is None:
        return
    fusion = folder.read_fusion()
    if fusion is not None:
        _refuse_stale_members(folder, fusion)
        return
    stage, best = result["stage"], folder.read_best()
    again = f"run: python verify.py {folder.path} (or name the csv itself to send it all the same)"
    if folder.weights_of(stage) != result["weights"]:
        raise UserError(f"{folder.submission} is of other weights than {stage} has now; {again}")
    if best != stage:
        log.warning("%s is of stage %s, the run's best is %s", folder.submission, stage, best)


def _refuse_stale_members(folder: RunFolder, fusion: dict) -> None:
    """UserError when a run of a fusion has other weights now. One that is gone is only told."""
    for member in fusion["members"]:
        run = RunFolder(Path(member["run"]))
        if not run.path.is_dir():
            log.warning("%s is of %s, which is not there any more", folder.submission, run.path)
        elif run.weights_of(member["stage"]) != member["weights"]:
            raise UserError(
                f"{folder.submission} is of other weights than {run.path} has now; run verify.py "
                "on those runs again (or name the csv itself to send it all the same)"
            )
