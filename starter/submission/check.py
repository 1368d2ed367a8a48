"""Everything that can be wrong with a submission file, found before Kaggle is asked.

Shapes: R rows of the file, S rows of the sample.
"""

import difflib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from starter.submission.ids import difference, first_five
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
    expected = None if sample is None else read_sample(sample)
    try:
        sheet = read_sheet(Path(csv))
    except Unreadable as error:
        return [Problem(error.code, "error", str(error), error.line)]
    if expected is None:
        return _alone(sheet)
    problems = [*_file(sheet), *_header(sheet, expected)]
    if any(problem.code == "header" for problem in problems):
        return problems  # the columns cannot be matched, so what is in them says nothing
    ragged = [*_ragged(sheet)]
    if ragged:
        return problems + ragged
    return [*problems, *_ids(sheet, expected), *check_labels(sheet, expected)]


def _alone(sheet: Sheet) -> list[Problem]:
    """What is wrong whatever the competition: columns, repeated ids, labels without a value."""
    problems = [*_file(sheet), *_ragged(sheet)]
    if len(sheet.header) < 2:
        text = f"one column ({sheet.header[0]}); expected an id and a label, separated by a comma"
        problems.append(Problem("header", "error", text, 1))
    if any(problem.severity == "error" for problem in problems):
        return problems
    names = dict.fromkeys(row[0] for row in sheet.rows)
    blank = [[name] + [""] * (len(sheet.header) - 1) for name in names]
    own = Sheet(sheet.path, sheet.header, blank, list(range(len(blank))), bom=False, size=0)
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
    """An error when the columns are not the sample's, with the likeliest reason."""
    header, expected = sheet.header, sample.header
    if header == expected:
        return
    want = f"should be {','.join(expected)}"
    first_ids = {row[0] for row in sample.rows}
    delimiters = [
        word
        for delimiter, word in DELIMITERS.items()
        if len(header) == 1 and len(header[0].split(delimiter)) == len(expected)
    ]
    if header[1:] == expected and header[0] in INDEX_COLUMNS:
        message = f"has pandas' index as its first column, {want}; write it with index=False"
    elif sorted(header) == sorted(expected):
        message = f"has the columns in another order: {','.join(header)}; {want}"
    elif delimiters:
        message = f"separates its columns by {delimiters[0]}, {want}, separated by commas"
    elif header in sample.rows or (len(header) == len(expected) and header[0] in first_ids):
        message = f"has no header: its first line is a row; {want}"
    else:
        message = f"the header is {','.join(header)}; {want}{_renamed(header, expected)}"
    yield Problem("header", "error", message, 1)


def _renamed(header: list[str], expected: list[str]) -> str:
    """Which unknown column is probably which missing one, and what else must change."""
    missing = {name.strip().lower(): name for name in expected if name not in header}
    hints = []
    for name in (name for name in header if name not in expected):
        close = difflib.get_close_matches(name.strip().lower(), list(missing), n=1)
        hints.append(
            f"rename {name!r} to {missing.pop(close[0])!r}"
            if close
            else f"remove the column {name!r}"
        )
    hints += [f"add {name!r}" for name in missing.values()]
    hints += [f"{name!r} stands {n} times" for name, n in Counter(header).items() if n > 1]
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
    ids, expected = [row[0] for row in sheet.rows], [row[0] for row in sample.rows]
    have, want = Counter(ids), Counter(expected)  # a sample may ask for a pair twice
    line = dict(zip(ids, sheet.line_R, strict=True))
    twice = [name for name in have if have[name] > max(1, want[name])]
    missing = [name for name in want if have[name] < want[name]]
    extra = [name for name in have if name not in want]
    counts = f"({len(ids)} rows, the sample has {len(expected)})"
    hint = difference(extra, missing)
    if twice:
        message = f"{len(twice)} ids are there too often {counts}: {first_five(twice)}"
        yield Problem("duplicate-ids", "error", message, line[twice[0]])
    if missing:
        message = f"{len(missing)} ids are missing {counts}: {first_five(missing)}{hint}"
        yield Problem("missing-ids", "error", message)
    if extra:
        names = first_five([name or repr(name) for name in extra])
        message = f"{len(extra)} ids are not in the sample {counts}: {names}{hint}"
        yield Problem("extra-ids", "error", message, line[extra[0]])
    if ids != expected and not (twice or missing or extra):
        yield Problem(
            "order",
            "warning",
            "the rows are in another order than the sample's; Kaggle matches by id, "
            "but some metrics do not",
        )
