"""What a submission is of: the run, its recipe and commit, and what validation said of it."""

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np

from starter.errors import UserError, did_you_mean
from starter.runs.folder import RunFolder

PLACEHOLDERS = ("run", "stage", "combined", "accuracy", "eer", "commit")


def facts(folder: RunFolder | None) -> dict:
    """run, stage, recipe (sha256), weights (sha256), commit, local; all None for a bare csv.

    The commit is the one that the run was trained with, "+" after it where the code differed.
    """
    found: dict = dict.fromkeys(("run", "stage", "recipe", "weights", "commit", "local"))
    if folder is None:
        return found
    recipe = (folder.recipe).read_bytes()
    result = folder.read_result() or {}
    return found | {
        "run": folder.path.name,
        "stage": result.get("stage"),
        "recipe": hashlib.sha256(recipe).hexdigest(),
        "weights": result.get("weights"),
        "commit": _commit(folder),
        "local": _local(folder, result),
    }


def fill_message(template: str, known: dict) -> str:
    """A message with its placeholders filled. UserError for one that is not known.

    {combined} is a fraction of 1, {accuracy} and {eer} are percent; "-" where not measured.
    """
    local = known["local"] or {}
    combined = local.get("combined")
    values = {
        "run": known["run"] or "-",
        "stage": known["stage"] or "-",
        "commit": (known["commit"] or "-")[:8],
        "combined": "-" if combined is None else f"{combined:.4f}",
        **{
            key: "-" if local.get(key) is None else f"{100 * local[key]:.2f} %"
            for key in ("accuracy", "eer")
        },
    }

    def value(match: re.Match) -> str:
        if match[1] not in values:
            names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise UserError(
                f"--message: no placeholder {match[0]}{did_you_mean(match[1], PLACEHOLDERS)} "
                f"(there are {names})"
            )
        return values[match[1]]

    return re.sub(r"\{(\w+)\}", value, template)


def _commit(folder: RunFolder) -> str | None:
    path, difference = folder.environment, folder.code_difference
    try:
        commit = json.loads(path.read_text(encoding="utf-8")).get("commit")
    except (OSError, ValueError):
        return None
    changed = difference.is_file() and difference.read_text(encoding="utf-8").strip()
    return f"{commit}+" if commit and changed else commit


def _local(folder: RunFolder, result: dict) -> dict | None:
    """Metrics of verify.py on the labelled data, as fractions, with 95 % intervals where known.

    accuracy: classes of the dev images (Wilson's interval). eer: of the validation pairs
    (bootstrap). combined: 0.5 * accuracy + 0.5 * (1 - eer), their half-widths added as if
    independent.
    """
    stage = result.get("stage")
    stages = result.get("stages") or {}
    accuracy = result.get("dev_accuracy", (stages.get(stage) or {}).get("accuracy"))
    val = result.get("val") or {}
    local: dict = {"accuracy": accuracy, "eer": val.get("eer"), "combined": None}
    local["pairs"] = val.get("pairs")
    local["eer_interval"] = (val.get("intervals") or {}).get("eer")
    count = result.get("dev_images")
    if count is None and stage:
        count = _dev_images(folder.stage(stage).predictions)
    if accuracy is not None and count:
        local["accuracy_interval"] = wilson(accuracy, count)
    if accuracy is not None and local["eer"] is not None:
        local["combined"] = 0.5 * accuracy + 0.5 * (1 - local["eer"])
        both = [local.get("accuracy_interval"), local["eer_interval"]]
        if all(both):
            half = 0.25 * math.hypot(*(high - low for low, high in both))
            local["combined_interval"] = [local["combined"] - half, local["combined"] + half]
    return None if accuracy is None and local["eer"] is None else local


def wilson(fraction: float, count: int) -> list[float]:
    """95 % interval of a fraction of `count` trials (Wilson 1927)."""
    z = 1.959964
    centre = (fraction + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(fraction * (1 - fraction) / count + z**2 / (4 * count**2))
    half = z / (1 + z**2 / count) * spread
    return [centre - half, centre + half]


def _dev_images(path: Path) -> int | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            return len(kept["correct_M"]) if "correct_M" in kept else None
    except (OSError, ValueError):
        return None
