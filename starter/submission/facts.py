"""What a submission is of: the run, its recipe and commit, and what validation said of it."""

import math
import re

from pydantic import BaseModel, ConfigDict

from starter.errors import UserError, did_you_mean
from starter.files import read_json, sha256
from starter.metrics import combined
from starter.runs.folder import RunFolder
from starter.runs.result import Result

Interval = tuple[float, float]


class Local(BaseModel):
    """Metrics of verify.py on labelled data, as fractions, with 95 % intervals where known.

    accuracy: classes of the dev images (Wilson's interval). eer: of the validation pairs
    (bootstrap). combined: 0.5 * accuracy + 0.5 * (1 - eer), their half-widths added as if
    independent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: float | None = None
    eer: float | None = None
    combined: float | None = None
    pairs: int | None = None
    accuracy_interval: Interval | None = None
    eer_interval: Interval | None = None
    combined_interval: Interval | None = None


class Facts(BaseModel):
    """All None for a bare csv.

    recipe: sha256 of the resolved recipe. weights: sha256. commit: the one that the run was trained
    with, "+" after it where the code differed.
    """

    run: str | None = None
    stage: str | None = None
    recipe: str | None = None
    weights: str | None = None
    commit: str | None = None
    local: Local | None = None


def facts(folder: RunFolder | None) -> Facts:
    """The facts of a run that verify.py has measured."""
    if folder is None:
        return Facts()
    result = folder.read_result()
    known = Facts(run=folder.name, recipe=sha256(folder.recipe), commit=_commit(folder))
    if result is None:
        return known
    measured = {"stage": result.stage, "weights": result.weights, "local": _local(result)}
    return known.model_copy(update=measured)


def fill_message(template: str, known: Facts) -> str:
    """A message with its placeholders filled. UserError for one that is not known.

    {combined} is a fraction of 1, {accuracy} and {eer} are percent; "-" where not measured.
    """
    local = known.local or Local()
    values = {
        "run": known.run or "-",
        "stage": known.stage or "-",
        "combined": "-" if local.combined is None else f"{local.combined:.4f}",
        "accuracy": "-" if local.accuracy is None else f"{100 * local.accuracy:.2f} %",
        "eer": "-" if local.eer is None else f"{100 * local.eer:.2f} %",
        "commit": (known.commit or "-")[:8],
    }

    def value(match: re.Match) -> str:
        if match[1] not in values:
            names = ", ".join(f"{{{name}}}" for name in values)
            raise UserError(
                f"--message: no placeholder {match[0]}{did_you_mean(match[1], values)} "
                f"(known: {names})"
            )
        return values[match[1]]

    return re.sub(r"\{(\w+)\}", value, template)


def _commit(folder: RunFolder) -> str | None:
    if not folder.environment.is_file():
        return None
    commit = read_json(folder.environment).get("commit")
    difference = folder.code_difference
    changed = difference.is_file() and difference.read_text(encoding="utf-8").strip()
    return f"{commit}+" if commit and changed else commit


def _local(result: Result) -> Local | None:
    accuracy, val = result.dev_accuracy, result.val
    eer = None if val is None else val.eer
    if accuracy is None and eer is None:
        return None
    eer_interval = val.intervals.get("eer") if val is not None and val.intervals else None
    count = result.dev_images
    accuracy_interval = wilson(accuracy, count) if accuracy is not None and count else None
    both, both_interval = combined(accuracy, eer), None
    if both is not None and accuracy_interval and eer_interval:
        widths = (high - low for low, high in (accuracy_interval, eer_interval))
        half = 0.25 * math.hypot(*widths)
        both_interval = (both - half, both + half)
    return Local(
        accuracy=accuracy,
        eer=eer,
        combined=both,
        pairs=None if val is None else val.pairs,
        accuracy_interval=accuracy_interval,
        eer_interval=eer_interval,
        combined_interval=both_interval,
    )


def wilson(fraction: float, count: int) -> Interval:
    """95 % interval of a fraction of `count` trials (Wilson 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(round(fraction * count), count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
