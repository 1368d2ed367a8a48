"""Everything that can be wrong with a submission file, found before Kaggle is asked.

Shapes: R rows of the file, S rows of the sample.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from starter.submission.ids import bare, first_five, stem
from starter.submission.labels import check_labels
from starter.submission.problem import Problem
from starter.submission.table import Sheet, Unreadable, read_sample, read_sheet

LARGE = 100 * 2**20  # bytes; a row of id and score takes about 30
INDEX_COLUMNS = ("", "Unnamed: 0", "index", "level_0")
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}


def check(csv: str | Path, sample: str | Path | None) -> list[Problem]:
    """Compares a submission with its sample; an empty list means nothing to mend.

    Ids are text (`007` is not `7`, `NA` is an id), the header is compared to the letter, rows
    must be the sample's in number and id. An order other than the sample's is a warning. Without
    a sample the file is checked for what no competition takes.

    Raises:
        UserError: the sample itself cannot be read.
    """
    theirs = None if sample is None else read_sample(sample)
    try:
        sheet = read_sheet(Path(csv))
    except Unreadable as error:
        return [Problem(error.code, "error", str(error), error.line)]
    if theirs is None:
        return _alone(sheet)
    problems = [*_file(sheet), *_header(sheet, theirs)]
    if any(problem.code == "header" for problem in problems):
        return problems  # the columns cannot be matched, so what is in them says nothing
    ragged = [*_ragged(sheet)]
    if ragged:
        return problems + ragged
    return [*problems, *_ids(sheet, theirs), *check_labels(sheet, theirs)]


def _alone(sheet: Sheet) -> list[Problem]:
    """What is wrong whatever the competition: columns, repeated ids, labels without a value."""
    problems = [*_file(sheet), *_ragged(sheet)]
    if len(sheet.header) < 2:
        what = f"one column ({sheet.header[0]}); expected an id and a label, parted by a comma"
        problems.append(Problem("header", "error", what, 1))
    if any(problem.severity == "error" for problem in problems):
        return problems
    names = dict.fromkeys(row[0] for row in sheet.rows)
    blank = [[name] + [""] * (len(sheet.header) - 1) for name in names]
    own = Sheet(sheet.header, blank, list(range(len(blank))), bom=False, size=0)
    return [*problems, *_ids(sheet, own), *check_labels(sheet, own)]


def _file(sheet: Sheet) -> Iterator[Problem]:
    if sheet.bom:
        yield Problem(
            "bom",
            "error",
            "begins with a byte order mark, which becomes part of the first column's name; "
            "save it as UTF-8 without BOM",
            1,
        )
    if sheet.size > LARGE:
        yield Problem("large", "warning", f"{sheet.size / 2**20:.0f} MiB is unusually large")
    if not sheet.rows:
        yield Problem("empty", "error", "a header but no rows")


def _header(sheet: Sheet, sample: Sheet) -> Iterator[Problem]:
    """Errors when the columns are not the sample's, with the likeliest reason."""
    mine, theirs = sheet.header, sample.header
    if mine == theirs:
        return
    want = f"should be {','.join(theirs)}"
    if mine[1:] == theirs and mine[0] in INDEX_COLUMNS:
        message = f"has pandas' index as its first column, {want}; write it with index=False"
    elif sorted(mine) == sorted(theirs):
        message = f"has the columns in another order: {','.join(mine)}; {want}"
    elif len(mine) == 1 and (
        found := [d for d in DELIMITERS if len(mine[0].split(d)) == len(theirs)]
    ):
        message = f"parts its columns by {DELIMITERS[found[0]]}, {want}, parted by commas"
    elif mine in sample.rows or (len(mine) == len(theirs) and mine[0] in _ids_of(sample)):
        message = f"has no header: its first line is a row; {want}"
    else:
        message = f"the header is {','.join(mine)}; {want}{_renamed(mine, theirs)}"
    yield Problem("header", "error", message, 1)


def _renamed(mine: list[str], theirs: list[str]) -> str:
    """Which unknown column is probably which missing one, and what else must change."""
    missing = {name.strip().lower(): name for name in theirs if name not in mine}
    hints = []
    for name in (name for name in mine if name not in theirs):
        close = difflib.get_close_matches(name.strip().lower(), list(missing), n=1)
        hints.append(
            f"rename {name!r} to {missing.pop(close[0])!r}"
            if close
            else f"remove the column {name!r}"
        )
    hints += [f"add {name!r}" for name in missing.values()]
    hints += [f"{name!r} stands {n} times" for name, n in Counter(mine).items() if n > 1]
    return f" ({', '.join(hints)})"


def _ragged(sheet: Sheet) -> Iterator[Problem]:
    wrong = [
        (len(row), line)
        for row, line in zip(sheet.rows, sheet.line_R, strict=True)
        if len(row) != len(sheet.header)
    ]
    if wrong:
        places = first_five([f"{n} fields (line {line})" for n, line in wrong])
        yield Problem(
            "fields",
            "error",
            f"{len(wrong)} rows do not have {len(sheet.header)} fields: {places}",
            wrong[0][1],
        )


def _ids(sheet: Sheet, sample: Sheet) -> Iterator[Problem]:
    """Missing, extra and repeated ids, and the likeliest reason for a whole column of them."""
    mine, theirs = [row[0] for row in sheet.rows], [row[0] for row in sample.rows]
    have, asked = Counter(mine), Counter(theirs)  # a sample may ask for a pair twice
    line = {name: number for name, number in zip(mine, sheet.line_R, strict=True)}
    twice = [name for name in have if have[name] > max(1, asked[name])]
    missing = [name for name in asked if have[name] < asked[name]]
    extra = [name for name in have if name not in asked]
    counts = f"{len(mine)} rows, the sample has {len(theirs)}"
    hint = _why(extra, missing)
    if twice:
        yield Problem(
            "duplicate-ids",
            "error",
            f"{len(twice)} ids stand too often ({counts}): {first_five(twice)}",
            line[twice[0]],
        )
    if missing:
        yield Problem(
            "missing-ids",
            "error",
            f"{len(missing)} ids are missing ({counts}): {first_five(missing)}{hint}",
        )
    if extra:
        yield Problem(
            "extra-ids",
            "error",
            f"{len(extra)} ids are not in the sample ({counts}): "
            f"{first_five([name or repr(name) for name in extra])}{hint}",
            line[extra[0]],
        )
    if mine != theirs and not (twice or missing or extra):
        yield Problem(
            "order",
            "warning",
            "the rows are in another order than the sample's; Kaggle matches by id, "
            "but some metrics do not",
        )


SPOILED: dict[str, Callable[[str], str]] = {  # of one of the words of an id
    "a folder in front of the file names": bare,
    "another case": str.lower,
    "real numbers (3.0 for 3)": lambda word: word.removesuffix(".0"),
    "an ending such as .jpg on one side only": stem,
    "leading zeros lost: read ids as text": lambda word: stem(word).lstrip("0"),
}


def _why(extra: list[str], missing: list[str]) -> str:
    """How ids that match nothing were probably spoiled."""
    if {name.strip() for name in extra} & {name.strip() for name in missing}:
        return "; they differ by spaces around the ids"
    for reason, simplify in SPOILED.items():
        mine, theirs = (
            {" ".join(map(simplify, name.split())) for name in names} for names in (extra, missing)
        )
        if mine & theirs:
            return f"; they differ by {reason}"
    if {frozenset(name.split()) for name in extra} & {frozenset(name.split()) for name in missing}:
        return "; they differ by the order of the two names"
    return ""


def _ids_of(sample: Sheet) -> set[str]:
    return {row[0] for row in sample.rows}
