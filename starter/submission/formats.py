"""What a sample submission asks for, row by row, and the answers in its ids and order.

Shapes: R rows of the sample, M test images, P test pairs.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from starter.errors import UserError
from starter.submission.ids import first_five, stem
from starter.submission.sample import (
    FACE,
    IMAGE,
    PAIR,
    Ask,
    image_index,
    recognise,
    recognised,
    refuse_gaps,
    wants_numbers,
)
from starter.submission.table import Table, read_sample
from starter.submission.years import CLASSES, FORMATS, MATCHES, SCORES


def fill(
    sample_path: str | Path | None,
    format: str,
    *,
    test_names: Sequence[str],
    class_of_test: Sequence[str] | None,
    pair_names: Sequence[tuple[str, str]],
    score_P: np.ndarray | None,
    classes: Sequence[str] = (),
    match_of_face: Sequence[str] = (),
    pair_ids: Sequence[str] | None = None,
) -> Table:
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
            fit images and pairs alike.
        test_names: M file names. class_of_test: their M classes as text; None: not predicted.
        pair_names: P pairs of file names. score_P: float32 (P), finite; None where P is 0.
        classes: every class in order. Where the sample has whole numbers for images and the
            classes are names (folders `n000001`), a class's place in this order is written, as
            S22 to S24 ask; so it is where `format` says so.
        match_of_face: T known people, or the word for nobody.
        pair_ids: P ids of pairs as the pair file spells them; else both names.
    Returns:
        A table in the sample's order; scores have 9 significant digits, so that a float32 reads
        back the same. Its note says what was recognised, or that no sample was there.
    Raises:
        UserError: the sample asks for what the data lacks, leaves images or pairs out, or can be
            read in two ways; a score is not finite.
    """
    assert class_of_test is None or len(class_of_test) == len(test_names)
    assert len(pair_names) == (0 if score_P is None else len(score_P))
    numbered = FORMATS[format].label == "index" and bool(classes)
    if sample_path is None:
        header, ids, asked = _default(format, test_names, pair_names, pair_ids, len(match_of_face))
        note = f"no sample submission: wrote the default of submission.format={format}"
        if not FORMATS[format].verified:
            note += " (unverified: compare it with the competition's own sample)"
    else:
        path, sample = Path(sample_path), read_sample(sample_path)
        asked = recognise(path, sample, format, test_names, pair_names, len(match_of_face))
        refuse_gaps(path, asked, test_names, pair_names, score_P)
        header, ids = (sample.header[0], sample.header[1]), [row[0] for row in sample.rows]
        note = recognised(asked)
        if class_of_test is not None and wants_numbers(sample, asked, classes):
            numbered = True
            note += "; the sample has numbers for classes, so each is written as its place in order"
    note += _upload(format)
    if numbered and class_of_test is not None:
        place = {name: str(k) for k, name in enumerate(classes)}
        class_of_test = [place[name] for name in class_of_test]
    answer = _answers(asked, class_of_test, pair_names, score_P, match_of_face)
    rows = [(name, answer(ask)) for name, ask in zip(ids, asked, strict=True)]
    return Table(header, rows, note)


def _upload(format: str) -> str:
    """What the course's starter calls the file, where that is not submission.csv."""
    name = FORMATS[format].upload
    return "" if name == "submission.csv" else f"; the course names this file {name}"


def _default(
    format: str, test_names, pair_names, pair_ids, faces: int
) -> tuple[tuple[str, str], list[str], list[Ask]]:
    """Header, ids and what they ask for, of a format without a sample."""
    entry = FORMATS[format]
    have = {CLASSES: len(test_names), SCORES: len(pair_names), MATCHES: faces}
    lacks = [rows for rows in entry.rows if not have[rows]]
    if lacks:
        words = {CLASSES: "test images", SCORES: "test pairs", MATCHES: "unknown faces"}
        can = [words[rows] for rows, n in have.items() if n]
        hint = ""
        if SCORES in lacks and have[CLASSES]:
            hint = "; for classes alone set submission.format=classification"
        if faces and MATCHES not in entry.rows:
            hint += "; for who the unknown faces are set submission.format=identification"
        raise UserError(
            f"submission.format is {format}, but the data has no {words[lacks[0]]}"
            f"{hint}" + ("" if hint or not can else f" (it has {' and '.join(can)})")
        )
    ids, asked = [], []
    for rows in entry.rows:
        if rows == CLASSES:
            image_index(test_names)
            ids += [stem(name) if entry.id == "stem" else name for name in test_names]
            asked += [(IMAGE, i) for i in range(len(test_names))]
        elif rows == MATCHES:
            ids += [str(i) for i in range(faces)]
            asked += [(FACE, i) for i in range(faces)]
        else:
            spelled = pair_ids or [f"{a} {b}" for a, b in pair_names]
            ids += [str(p) for p in range(len(pair_names))] if entry.id == "row" else spelled
            asked += [(PAIR, p) for p in range(len(pair_names))]
    return entry.header, ids, asked


def _answers(
    asked: list[Ask], class_of_test, pair_names, score_P, match_of_face
) -> Callable[[Ask], str]:
    """The function from what is asked to its text. UserError when there is no such answer."""
    kinds = {kind for kind, _ in asked}
    if IMAGE in kinds and class_of_test is None:
        raise UserError("the submission asks for classes of images, but the run predicts none")
    if PAIR in kinds:
        bad = [f"{a} {b}" for (a, b), s in zip(pair_names, score_P, strict=True) if not isfinite(s)]
        if bad:
            raise UserError(f"{len(bad)} scores of test pairs are not finite: {first_five(bad)}")
    text = {
        IMAGE: lambda i: str(class_of_test[i]),
        PAIR: lambda p: f"{float(score_P[p]):.9g}",
        FACE: lambda i: match_of_face[i],
    }
    return lambda ask: text[ask[0]](ask[1])
