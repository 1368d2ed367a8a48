"""The file to hand in: written from a run's answers, checked, found again."""

import itertools
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from starter.errors import UserError
from starter.recipe import load
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.runs.result import Fusion
from starter.submission.answers import Answers
from starter.submission.check import Problem, check
from starter.submission.formats import fill
from starter.submission.table import Table, read_sheet, write

log = logging.getLogger(__name__)

SEND_ANYWAY = "(or name the csv file itself to send it anyway)"


@dataclass(frozen=True)
class Handin:
    """A file to hand in, and the run it is of (None, None for a bare csv)."""

    csv: Path
    folder: RunFolder | None = None
    recipe: Recipe | None = None


def write_submission(csv: Path, sample: Path | None, format: str | None, answers: Answers) -> Table:
    """Writes a checked submission as the sample asks, or the default of `submission.format`.

    Raises:
        UserError: the sample asks for what the answers lack; a file that was there stays.
    """
    table = fill(sample, format, answers)
    log.info("submission: %s", table.note)
    part = csv.with_name(f".{csv.name}")
    try:  # checked beside: a file that fails does not replace one that did not
        write(table, part)
        raise_errors(part, sample)
        os.replace(part, csv)
    finally:
        part.unlink(missing_ok=True)
    return table


def sample_path(recipe: Recipe, root: Path) -> Path | None:
    """The sample submission: as given, or under the data's folder. UserError when it is nowhere.

    root: of the data; the sample may lie up to two folders deeper, where an archive was unpacked.
    """
    if recipe.submission.sample is None:
        return None
    given = Path(recipe.submission.sample).expanduser()
    places = [given]
    if not given.is_absolute():
        depths = ("", "*/", "*/*/")
        below = [sorted(root.glob(f"{depth}{given.as_posix()}")) for depth in depths]
        places = [*itertools.chain(*below), given]
    for place in places:
        if place.is_file():
            return place
    looked = given if given.is_absolute() else f"{given} in {root} or here"
    raise UserError(f"submission.sample: there is no file {looked}")


def raise_errors(csv: Path, sample: Path | None) -> list[Problem]:
    """Checks a file (against its sample); returns warnings. UserError listing every error."""
    problems = check(csv, sample)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise UserError("\n".join(f"{csv}: {problem}" for problem in errors))
    return problems


def checked(target: str | Path, sample: str | Path | None = None) -> tuple[dict, Handin]:
    """Checks a run's submission (or any csv).

    Returns:
        csv, rows, sample and warnings, to print; and what to hand in.
    Raises:
        UserError: the file is wrong in any way, or is not of the weights that the run has now.
    """
    handin = open_target(target)
    if handin.folder is not None:
        _refuse_stale(handin.folder)
    sample_file = Path(sample) if sample else _sample_of(handin)
    warnings = [str(problem) for problem in raise_errors(handin.csv, sample_file)]
    if sample_file is None:
        warnings.append("no sample submission to check against: give --sample FILE")
    return {
        "csv": handin.csv.as_posix(),
        "rows": len(read_sheet(handin.csv).rows),
        "sample": sample_file and sample_file.as_posix(),
        "warnings": warnings,
    }, handin


def open_target(target: str | Path) -> Handin:
    """A run folder with its submission, or a csv file. UserError when it is neither."""
    path = Path(target)
    if path.is_dir():
        folder = RunFolder.existing(path)
        if not folder.submission.is_file():
            raise UserError(f"{folder.submission} is missing; run: python verify.py {target}")
        return Handin(folder.submission, folder, load(folder.recipe, []))
    if not path.is_file():
        raise UserError(f"{target} is neither a run folder nor a file")
    return Handin(path)


def _sample_of(handin: Handin) -> Path | None:
    """The sample that verify.py used, or, where the run was moved, the recipe's."""
    if handin.folder is None or handin.recipe is None:
        return None
    result = handin.folder.read_result()
    used = result and result.submission and result.submission.sample
    if used and Path(used).is_file():
        return Path(used)
    root = Path(os.path.expandvars(handin.recipe.data.root)).expanduser()
    return sample_path(handin.recipe, root)


def _refuse_stale(folder: RunFolder) -> None:
    """UserError when the submission is not of the weights that the run has now."""
    result = folder.read_result()
    if result is None:
        return
    if result.submission is None:
        raise UserError(
            f"{folder.submission} is of an earlier verify.py; the last one wrote none {SEND_ANYWAY}"
        )
    fusion = folder.read_fusion()
    if fusion is not None:
        _refuse_stale_members(folder, fusion)
        return
    stage, best = result.stage, folder.read_best()
    assert stage is not None, "of a run"
    if folder.weights_of(stage) != result.weights:
        raise UserError(
            f"{folder.submission} is of other weights than {stage} has now; run: python verify.py "
            f"{folder} {SEND_ANYWAY}"
        )
    if best != stage:
        log.warning("%s is of stage %s, the run's best is %s", folder.submission, stage, best)


def _refuse_stale_members(folder: RunFolder, fusion: Fusion) -> None:
    """UserError when a run of a fusion has other weights now; a warning for one that is gone."""
    for member in fusion.members:
        run = RunFolder(Path(member.run))
        if not run.path.is_dir():
            log.warning("%s is of %s, which is gone", folder.submission, run)
        elif run.weights_of(member.stage) != member.weights:
            raise UserError(
                f"{folder.submission} is of other weights than {run} has now; run verify.py on "
                f"those runs again {SEND_ANYWAY}"
            )
