"""A submission filled in: the answers in the ids and order of the sample, or of a known format."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from starter.errors import UserError
from starter.submission.answers import Answers, Ask
from starter.submission.ids import is_number, stem
from starter.submission.sample import image_index, in_words, recognise, refuse_gaps
from starter.submission.table import Sheet, Table, read_sample
from starter.submission.years import CLASSES, FORMATS, MATCHES, SCORES


class _Plan(NamedTuple):
    """Header and ids of a submission, what each row asks for, and what to log about it."""

    header: tuple[str, str]
    ids: Sequence[str]
    asks: Sequence[Ask]
    numbered: bool
    note: str


def fill(sample_path: str | Path | None, format: str, answers: Answers) -> Table:
    """Answers every row of a sample submission, or of the documented default without one.

    An id asks for the class of a test image (its file name, with or without folders or ending),
    for the similarity of a test pair ("a b", in either order), or is a row number (0 to n - 1, of
    the pairs, of the images or of the unknown faces, whichever are n). Without a sample, `format`
    gives what FORMATS says of it, among them:
      verification: `ID,Label`, the row number in the list of test pairs, the cosine (F24 to S26);
      classification: `id,label`, file name, class (S21 to F23);
      identification: `id,label`, the row number of the unknown face, who it is (F22 to S24);
      combined: `ID,Label`, images by file name, then pairs as "a b". Unverified: nobody
        outside a course has published what F26 asks for.

    Args:
        sample_path: the sample submission, or None.
        format: what to write without a sample; "classification" also settles row numbers that
            fit images and pairs alike. Where the sample has whole numbers for images and the
            classes are names (folders `n000001`), or where `format` says so, a class's place in
            order is written, as S22 to S24 ask.
    Returns:
        A table in the sample's order. Its note says what was recognised, or that no sample was
        there.
    Raises:
        UserError: the sample asks for what the data lacks, leaves images or pairs out, or can be
            read in two ways; a score is not finite.
    """
    if sample_path is None:
        plan = _plan_of_format(format, answers)
    else:
        plan = _plan_of_sample(read_sample(sample_path), format, answers)
    note, upload = plan.note, FORMATS[format].upload
    if upload != "submission.csv":
        note += f"; the course names this file {upload}"
    labels = answers.labels(plan.asks, numbered=plan.numbered)
    return Table(plan.header, list(zip(plan.ids, labels, strict=True)), note)


def _plan_of_sample(sample: Sheet, format: str, answers: Answers) -> _Plan:
    asks = recognise(sample, format, answers)
    refuse_gaps(sample, asks, answers)
    numbered, note = _wants_numbers(format, answers), in_words(asks)
    labels = [row[1] for row, ask in zip(sample.rows, asks, strict=True) if ask.kind == "image"]
    numbers = bool(labels) and all(is_number(label.strip()) for label in labels)
    if answers.class_of_test is not None and numbers and not all(map(is_number, answers.classes)):
        numbered = True
        note += "; the sample has numbers for classes, so each is written as its place in order"
    ids = [row[0] for row in sample.rows]
    return _Plan((sample.header[0], sample.header[1]), ids, asks, numbered, note)


def _plan_of_format(format: str, answers: Answers) -> _Plan:
    entry = FORMATS[format]
    _refuse_lacking(format, answers)
    ids: list[str] = []
    asks: list[Ask] = []
    for rows in entry.rows:
        if rows == CLASSES:
            image_index(answers.test_names)
            names = answers.test_names
            ids += map(stem, names) if entry.id == "stem" else names
            asks += [Ask("image", i) for i in range(len(names))]
        elif rows == MATCHES:
            ids += map(str, range(len(answers.match_of_face)))
            asks += [Ask("face", t) for t in range(len(answers.match_of_face))]
        else:
            pairs = range(len(answers.pair_names))
            spelled = answers.pair_ids or [f"{a} {b}" for a, b in answers.pair_names]
            ids += map(str, pairs) if entry.id == "row" else spelled
            asks += [Ask("pair", p) for p in pairs]
    note = f"no sample submission: wrote the default of submission.format={format}"
    if not entry.verified:
        note += " (unverified: compare it with the competition's own sample)"
    return _Plan(entry.header, ids, asks, _wants_numbers(format, answers), note)


def _wants_numbers(format: str, answers: Answers) -> bool:
    return FORMATS[format].label == "index" and bool(answers.classes)


def _refuse_lacking(format: str, answers: Answers) -> None:
    """UserError when the data lacks what a format asks for, with the format that would do."""
    have = {
        CLASSES: ("test images", len(answers.test_names)),
        SCORES: ("test pairs", len(answers.pair_names)),
        MATCHES: ("unknown faces", len(answers.match_of_face)),
    }
    wanted = FORMATS[format].rows
    lacks = [rows for rows in wanted if not have[rows][1]]
    if not lacks:
        return
    hints = []
    if SCORES in lacks and have[CLASSES][1]:
        hints.append("for classes alone set submission.format=classification")
    if have[MATCHES][1] and MATCHES not in wanted:
        hints.append("for who the unknown faces are set submission.format=identification")
    can = [word for word, count in have.values() if count]
    hint = "".join(f"; {text}" for text in hints) or (
        f" (it has {' and '.join(can)})" if can else ""
    )
    raise UserError(f"submission.format is {format}, but the data has no {have[lacks[0]][0]}{hint}")
