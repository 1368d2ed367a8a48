"""The score on the held-back answers of the built-in competition."""

from pathlib import Path

from starter.data.demo import score
from starter.metrics import combined, evaluate
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder


def answer_demo(folder: RunFolder, recipe: Recipe) -> dict:
    """{"answers": accuracy, eer, combined} as fractions; {} for other data."""
    if recipe.data.demo is None or not folder.submission.is_file():
        return {}
    found = score(folder.submission, Path(recipe.data.root))
    answer: dict[str, float] = {}
    if found.predicted_M is not None:
        answer["accuracy"] = float((found.predicted_M == found.label_M).mean())
    if found.score_P is not None and found.same_P is not None:
        answer["eer"] = evaluate(found.score_P, found.same_P)["eer"]
    both = combined(answer.get("accuracy"), answer.get("eer"))
    return {"answers": answer if both is None else answer | {"combined": both}}
