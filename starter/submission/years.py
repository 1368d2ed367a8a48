"""What each course year asked to hand in, where no sample submission says it.

From public starter notebooks and student code; what nobody outside a course has published is marked
unverified.
"""

from dataclasses import dataclass
from typing import Literal

from starter.submission.answers import Kind


@dataclass(frozen=True)
class Format:
    """One file of one year.

    rows: what each row answers, in order: the class of a test image, the score of a test pair, who
        an unknown face is; several are blocks one after the other.
    id: "name" (file name), "stem" (without its ending), "row" (0, 1, ...), "pair" (both names as
        the pair file spells them).
    label: of classes, "name" (the folder's) or "index" (ImageFolder's number of it). Scores are
        written with 9 digits, matches as the known person's folder name.
    upload: the file name the course's starter gives it.
    """

    header: tuple[str, str]
    rows: tuple[Kind, ...]
    id: Literal["name", "stem", "row", "pair"]
    label: Literal["name", "index"] = "name"
    upload: str = "submission.csv"
    verified: bool = True


_LOWER, _UPPER, _TRIAL = ("id", "label"), ("Id", "Category"), ("trial", "score")
_NAMED = Format(_LOWER, ("image",), "name")
_INDEXED = Format(_LOWER, ("image",), "name", "index")
_TRIALS = Format(_TRIAL, ("pair",), "pair")
_PAIRS = Format(_UPPER, ("pair",), "pair")
_BY_ROW = Format(("ID", "Label"), ("pair",), "row", upload="verification_early_submission.csv")
_MATCHED = Format(_LOWER, ("face",), "row")
_COMBINED = Format(("ID", "Label"), ("image", "pair"), "name", verified=False)
FORMATS: dict[str, Format] = {
    "s19_classification": Format(_LOWER, ("image",), "stem"),
    "s19_verification": _TRIALS,
    "s20_classification": Format(_UPPER, ("image",), "name"),
    "s20_verification": _TRIALS,
    "f20_verification": _PAIRS,
    "s21_classification": _NAMED,
    "s21_verification": _PAIRS,
    "f21_classification": _NAMED,
    "f21_verification": _PAIRS,
    "s22_classification": _INDEXED,
    "s22_verification": Format(("id", "match"), ("pair",), "row"),
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
    "f26_combined": _COMBINED,
    # Not of a year: what the kit wrote before it knew years.
    "verification": Format(("ID", "Label"), ("pair",), "row"),
    "classification": _NAMED,
    "identification": _MATCHED,
    "combined": _COMBINED,
}
