"""What a sample submission asks for, row by row, and the answers in its ids and order.

Shapes: R rows of the sample, M test images, P test pairs.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from starter.recipe import UserError
from starter.submission.ids import bare, first_five, is_number, pair_keys, stem
from starter.submission.table import Sheet, Table, read_sample

SIMILARITY_HEADERS = {"match", "score", "similarity"}  # S19 to S22 verification samples
IMAGE, PAIR = "image", "pair"
Ask = tuple[str, int]  # IMAGE or PAIR, and which


def fill(
    sample_path: str | Path | None,
    format: str,
    *,
    test_names: Sequence[str],
    class_of_test: Sequence[str] | None,
    pair_names: Sequence[tuple[str, str]],
    score_P: np.ndarray | None,
    classes: Sequence[str] = (),
) -> Table:
    """Answers every row of a sample submission, or of the documented default without one.

    An id asks for the class of a test image (its file name, with or without folders or ending),
    for the similarity of a test pair ("a b", in either order), or is a row number (0 to n - 1, of
    the pairs or of the images, whichever are n). Without a sample, `format` gives:
      verification: `ID,Label`, the row number in the list of test pairs, the cosine (F24 to S26);
      classification: `id,label`, file name, class (S21 to F23);
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
            S22 to S24 ask.
    Returns:
        A table in the sample's order; scores have 9 significant digits, so that a float32 reads
        back the same. Its note says what was recognised, or that no sample was there.
    Raises:
        UserError: the sample asks for what the data lacks, leaves images or pairs out, or can be
            read in two ways; a score is not finite.
    """
    assert class_of_test is None or len(class_of_test) == len(test_names)
    assert len(pair_names) == (0 if score_P is None else len(score_P))
    if sample_path is None:
        header, ids, asked = _default(format, test_names, pair_names)
        note = f"no sample submission: wrote the default of submission.format={format}"
        if format == "combined":
            note += " (unverified: compare it with the competition's own sample)"
    else:
        path, sample = Path(sample_path), read_sample(sample_path)
        asked = _recognise(path, sample, format, test_names, pair_names)
        _refuse_gaps(path, asked, test_names, pair_names, score_P)
        header, ids = tuple(sample.header), [row[0] for row in sample.rows]
        note = _recognised(asked)
        if class_of_test is not None and _wants_numbers(sample, asked, classes):
            class_of_test = [str(classes.index(name)) for name in class_of_test]
            note += "; the sample has numbers for classes, so each is written as its place in order"
    answer = _answers(asked, class_of_test, pair_names, score_P)
    rows = [(name, answer(ask)) for name, ask in zip(ids, asked, strict=True)]
    return Table(header, rows, note)


def _default(format: str, test_names, pair_names) -> tuple[tuple[str, ...], list[str], list[Ask]]:
    """Header, ids and what they ask for, of a format without a sample."""
    assert format in ("verification", "classification", "combined"), format
    if format != "verification" and not test_names:
        raise UserError(f"submission.format is {format}, but the data has no test images")
    if format != "classification" and not pair_names:
        raise UserError(
            f"submission.format is {format}, but the data has no test pairs; "
            "for classes alone set submission.format=classification"
        )
    images = [(IMAGE, i) for i in range(len(test_names))]
    pairs = [(PAIR, p) for p in range(len(pair_names))]
    if format == "verification":
        return ("ID", "Label"), [str(p) for p in range(len(pair_names))], pairs
    _image_index(test_names)
    if format == "classification":
        return ("id", "label"), list(test_names), images
    ids = [*test_names, *(f"{a} {b}" for a, b in pair_names)]
    return ("ID", "Label"), ids, images + pairs


def _recognise(path: Path, sample: Sheet, format: str, test_names, pair_names) -> list[Ask]:
    """What each row asks for. UserError naming the rows that nothing fits."""
    if len(sample.header) != 2:
        raise UserError(
            f"{path}, line 1: {len(sample.header)} columns ({', '.join(sample.header)}); "
            "expected two, an id and a label, parted by a comma"
        )
    names = {bare(name) for name in test_names if not is_number(name)}
    by_name = _image_index(test_names) if any(bare(r[0]) in names for r in sample.rows) else {}
    by_pair = _pair_index(pair_names)
    asked: list[Ask | None] = []
    for row in sample.rows:
        pair = next((by_pair[key] for key in pair_keys(row[0]) if key in by_pair), None)
        image = None if is_number(row[0]) else by_name.get(bare(row[0]))
        if pair is not None:
            asked.append((PAIR, pair))
        else:
            asked.append(None if image is None else (IMAGE, image))
    open_R = [r for r, ask in enumerate(asked) if ask is None]
    if open_R:
        kinds = {ask[0] for ask in asked if ask is not None}
        found = _numbered(path, sample, open_R, kinds, format, test_names, pair_names)
        for r, ask in zip(open_R, found, strict=True):
            asked[r] = ask
    return [ask for ask in asked if ask is not None]


def _numbered(
    path: Path, sample: Sheet, open_R, kinds: set[str], format: str, test_names, pair_names
) -> list[Ask]:
    """Rows that no name fits: names without their ending, or row numbers of images or pairs."""
    ids = [bare(sample.rows[r][0]) for r in open_R]
    numbers = all(map(is_number, ids)) and {int(i) for i in ids} == set(range(len(ids)))
    by_stem = {stem(name): i for i, name in enumerate(test_names)}
    images: list[Ask] = []
    pairs: list[Ask] = []
    if PAIR not in kinds and numbers and len(ids) == len(pair_names):
        pairs = [(PAIR, int(i)) for i in ids]
    if IMAGE not in kinds:
        every = len(ids) == len(test_names)  # "0" to "4999" are also stems of 0.jpg to 9999.jpg
        stems = len(by_stem) == len(test_names) and all(i in by_stem for i in ids)
        if stems and (every or not pairs):
            images = [(IMAGE, by_stem[i]) for i in ids]
        elif numbers and every:
            images = [(IMAGE, int(i)) for i in ids]
    if images and pairs:
        return images if _means_images(path, sample, open_R, format) else pairs
    if images or pairs:
        return images or pairs
    places = [f"{sample.rows[r][0]!r} (line {sample.line_R[r]})" for r in open_R]
    have = f"the {len(test_names)} test images or {len(pair_names)} test pairs"
    if all(map(is_number, ids)):
        raise UserError(
            f"{path}: {len(ids)} ids are numbers that fit none of {have} (row numbers run from 0 "
            f"to their count less one): {first_five(places)}"
        )
    raise UserError(
        f"{path}: {len(ids)} of {len(sample.rows)} ids match none of {have}: {first_five(places)}; "
        "is this the sample of the data at data.root?"
    )


def _means_images(path: Path, sample: Sheet, open_R, format: str) -> bool:
    """Row numbers fit as many images as pairs: which are meant? UserError when nothing says."""
    if format == "classification":
        return True
    labels = [sample.rows[r][1].strip() for r in open_R]
    if sample.header[1].strip().lower() in SIMILARITY_HEADERS or all("." in v for v in labels):
        return False
    raise UserError(
        f"{path}: the row numbers 0 to {len(open_R) - 1} fit both the {len(open_R)} test images "
        f"and the {len(open_R)} test pairs; for classes set submission.format=classification, "
        "for similarities write the sample's labels as 0.0"
    )


def _image_index(test_names: Sequence[str]) -> dict[str, int]:
    """{bare name: test image}. UserError when two images share a name."""
    index = {bare(name): i for i, name in enumerate(test_names)}
    if len(index) < len(test_names):
        twice = [name for name, n in Counter(map(bare, test_names)).items() if n > 1]
        raise UserError(
            f"{len(twice)} names belong to more than one test image, so a file name is no id: "
            f"{first_five(twice)}"
        )
    return index


def _pair_index(pair_names: Sequence[tuple[str, str]]) -> dict[str, int]:
    """{"a b": test pair} of bare names; a pair in the other order gives way to an exact one."""
    index: dict[str, int] = {}
    for p, (a, b) in enumerate(pair_names):
        index.setdefault(f"{bare(a)} {bare(b)}", p)
    for p, (a, b) in enumerate(pair_names):
        index.setdefault(f"{bare(b)} {bare(a)}", p)
    return index


def _refuse_gaps(path: Path, asked: list[Ask], test_names, pair_names, score_P) -> None:
    """UserError when a kind is asked for, but not of every image or pair, or of an image twice.

    Pairs of the same names share a row, so their scores must be the same.
    """
    times = Counter(i for kind, i in asked if kind == IMAGE)
    twice = [test_names[i] for i, n in times.items() if n > 1]
    if twice:
        raise UserError(f"{path}: {len(twice)} images are asked for twice: {first_five(twice)}")
    if times and len(times) < len(test_names):
        absent = [name for i, name in enumerate(test_names) if i not in times]
        raise UserError(
            f"{path}: {len(absent)} of {len(test_names)} test images are not asked for: "
            f"{first_five(absent)}; is this the sample of the data at data.root?"
        )
    known = {frozenset(pair_names[p]): p for kind, p in asked if kind == PAIR}
    left = [f"{a} {b}" for a, b in pair_names if frozenset((a, b)) not in known]
    if known and left:
        raise UserError(
            f"{path}: {len(left)} of {len(pair_names)} test pairs are not asked for: "
            f"{first_five(left)}; is this the sample of the data at data.root?"
        )
    rows = {p for kind, p in asked if kind == PAIR}
    others = [p for p in range(len(pair_names)) if known and p not in rows]
    twin = {p: known[frozenset(pair_names[p])] for p in others}
    mixed = [" ".join(pair_names[p]) for p in others if abs(score_P[p] - score_P[twin[p]]) > 1e-6]
    if mixed:
        raise UserError(
            f"{len(mixed)} test pairs have the file names of another pair but not its similarity, "
            f"so the names are no ids: {first_five(mixed)}"
        )


def _recognised(asked: list[Ask]) -> str:
    times = Counter(kind for kind, _ in asked)
    parts = [
        f"{times[kind]} rows ask for {what}"
        for kind, what in ((IMAGE, "the class of an image"), (PAIR, "the similarity of a pair"))
        if times[kind]
    ]
    return ", ".join(parts)


def _wants_numbers(sample: Sheet, asked: list[Ask], classes: Sequence[str]) -> bool:
    """Whether images are labelled with whole numbers, in the sample but not in the data."""
    labels = [row[1].strip() for row, ask in zip(sample.rows, asked, strict=True)
              if ask[0] == IMAGE]  # fmt: skip
    return bool(labels) and all(map(is_number, labels)) and not all(map(is_number, classes))


def _answers(asked: list[Ask], class_of_test, pair_names, score_P) -> Callable[[Ask], str]:
    """The function from what is asked to its text. UserError when there is no such answer."""
    kinds = {kind for kind, _ in asked}
    if IMAGE in kinds and class_of_test is None:
        raise UserError("the submission asks for classes of images, but the run predicts none")
    if PAIR in kinds:
        bad = [f"{a} {b}" for (a, b), s in zip(pair_names, score_P, strict=True) if not isfinite(s)]
        if bad:
            raise UserError(f"{len(bad)} scores of test pairs are not finite: {first_five(bad)}")
    return lambda ask: (
        str(class_of_test[ask[1]]) if ask[0] == IMAGE else f"{float(score_P[ask[1]]):.9g}"
    )
