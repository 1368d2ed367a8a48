"""What each course year asked to hand in, where no sample submission says it.

From public starter notebooks and student code; what nobody outside a course has published is marked
unverified.
"""

from dataclasses import dataclass
from typing import Literal

CLASSES, SCORES, MATCHES = "classes", "scores", "matches"


@dataclass(frozen=True)
class Format:
    """One file of one year.

    rows: what each row answers, in order: classes of test images, scores of test pairs, matches of
        unknown faces; several are blocks one after the other.
    id: "name" (file name), "stem" (without its ending), "row" (0, 1, ...), "pair" (both names as
        the pair file spells them).
    label: of classes, "name" (the folder's) or "index" (ImageFolder's number of it). Scores are
        written with 9 digits, matches as the known person's folder name.
    upload: the file name the course's starter gives it.
    """

    header: tuple[str, str]
    rows: tuple[str, ...]
    id: Literal["name", "stem", "row", "pair"]
    label: Literal["name", "index"] = "name"
    upload: str = "submission.csv"
    verified: bool = True


def _classes(header: tuple[str, str], id: Literal["name", "stem"], label: Literal["name", "index"]):
    return Format(header, (CLASSES,), id, label)


_LOWER, _UPPER, _TRIAL = ("id", "label"), ("Id", "Category"), ("trial", "score")
_BY_ROW = Format(("ID", "Label"), (SCORES,), "row", upload="verification_early_submission.csv")
_INDEXED = _classes(_LOWER, "name", "index")
_MATCHED = Format(_LOWER, (MATCHES,), "row")
FORMATS: dict[str, Format] = {
    "s19_classification": _classes(_LOWER, "stem", "name"),
    "s19_verification": Format(_TRIAL, (SCORES,), "pair"),
    "s20_classification": _classes(_UPPER, "name", "name"),
    "s20_verification": Format(_TRIAL, (SCORES,), "pair"),
    "f20_verification": Format(_UPPER, (SCORES,), "pair"),
    "s21_classification": _classes(_LOWER, "name", "name"),
    "s21_verification": Format(_UPPER, (SCORES,), "pair"),
    "f21_classification": _classes(_LOWER, "name", "name"),
    "f21_verification": Format(_UPPER, (SCORES,), "pair"),
    "s22_classification": _INDEXED,
    "s22_verification": Format(("id", "match"), (SCORES,), "row"),
    "f22_classification": _INDEXED,
    "f22_identification": _MATCHED,
    "s23_classification": _INDEXED,
    "s23_identification": _MATCHED,
    "f23_classification": _INDEXED,
    "f23_identification": _MATCHED,
    "s24_classification": _INDEXED,
    "s24_identification": _MATCHED,
    "f24_verification": _BY_ROW,
    "s25_verification": _BY_ROW,
    "f25_verification": _BY_ROW,
    "s26_verification": _BY_ROW,
    "f26_combined": Format(("ID", "Label"), (CLASSES, SCORES), "name", verified=False),
    # Not of a year: what the kit wrote before it knew years.
    "verification": Format(("ID", "Label"), (SCORES,), "row"),
    "classification": _classes(_LOWER, "name", "name"),
    "identification": _MATCHED,
    "combined": Format(("ID", "Label"), (CLASSES, SCORES), "name", verified=False),
}
