"""What each row of a sample submission asks for.

Shapes: R rows of the sample, M test images, P test pairs, T unknown faces.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from starter.errors import UserError
from starter.submission.answers import Answers, Ask, Kind
from starter.submission.shapes import Shape
from starter.submission.table import Sheet, bare, difference, first_five, is_number, pair_keys, stem
from starter.submission.years import FORMATS

SIMILARITY_HEADERS = {"match", "score", "similarity"}  # S19 to S22 verification samples
OTHER_DATA = "is this the sample of the data at data.root?"


def recognise(sample: Sheet, format: str | None, answers: Answers) -> list[Ask]:
    """What each row asks for. UserError naming the rows that nothing fits."""
    if len(sample.header) < 2:
        raise UserError(
            f"{sample.path}, line 1: one column ({sample.header[0]}); expected an id and a label, "
            "separated by a comma"
        )
    exact = {name: i for i, name in enumerate(answers.test_names)}
    if all(row[0] in exact for row in sample.rows):  # also where some of them are numbers
        return [Ask("image", exact[row[0]]) for row in sample.rows]
    names = {bare(name) for name in answers.test_names if not is_number(name)}
    named = any(bare(row[0]) in names for row in sample.rows)
    parts = parts_that_tell(answers.test_names) if named else 1
    by_name = {bare(name, parts): i for i, name in enumerate(answers.test_names if named else ())}
    by_pair = _pair_index(answers.pair_names)
    asks: list[Ask | None] = []
    for row in sample.rows:
        pair = next((by_pair[key] for key in pair_keys(row[0]) if key in by_pair), None)
        image = None if is_number(row[0]) else by_name.get(bare(row[0], parts))
        if pair is not None:
            asks.append(Ask("pair", pair))
        else:
            asks.append(None if image is None else Ask("image", image))
    open_R = [r for r, ask in enumerate(asks) if ask is None]
    kinds = {ask.kind for ask in asks if ask is not None}
    rest = iter(_numbered(sample, open_R, kinds, format, answers) if open_R else ())
    return [next(rest) if ask is None else ask for ask in asks]


def _numbered(
    sample: Sheet, open_R: Sequence[int], kinds: set[Kind], format: str | None, answers: Answers
) -> list[Ask]:
    """Rows that no name fits: names without their ending, or row numbers of images, of pairs or of
    unknown faces. kinds: what the other rows ask for."""
    ids = [bare(sample.rows[r][0]) for r in open_R]
    numbers = all(map(is_number, ids)) and {int(i) for i in ids} == set(range(len(ids)))
    fits = {kind: numbers and len(ids) == count for kind, count in answers.count.items()}
    depth = parts_that_tell(answers.test_names, stem)
    by_stem = {stem(name, depth): i for i, name in enumerate(answers.test_names)}
    stem_R = [bare(sample.rows[r][0], depth) for r in open_R]
    stems = len(by_stem) == len(answers.test_names) and all(i in by_stem for i in stem_R)
    pair = "pair" not in kinds and fits["pair"]
    # "0" to "4999" are also stems of 0.jpg to 9999.jpg
    stems = stems and (len(ids) == len(by_stem) or not pair)
    image = "image" not in kinds and (stems or fits["image"])
    if "pair" not in kinds and fits["face"]:
        kind: Kind = "face" if not image or _means_faces(sample, open_R, format) else "image"
    elif image:
        kind = "pair" if pair and not _means_images(sample, open_R, format) else "image"
    elif pair:
        kind = "pair"
    else:
        raise _unknown(sample, open_R, answers)
    if kind == "image" and stems:
        return [Ask(kind, by_stem[i]) for i in stem_R]
    return [Ask(kind, int(i)) for i in ids]


def _unknown(sample: Sheet, open_R: Sequence[int], answers: Answers) -> UserError:
    """The error of ids that match nothing."""
    ids = [sample.rows[r][0] for r in open_R]
    places = first_five([f"{sample.rows[r][0]!r} (line {sample.line_R[r]})" for r in open_R])
    have = f"the {len(answers.test_names)} test images or {len(answers.pair_names)} test pairs"
    if answers.match_of_face:
        have += f" or {len(answers.match_of_face)} unknown faces"
    if all(is_number(bare(name)) for name in ids):
        return UserError(
            f"{sample.path}: {len(ids)} ids are numbers that fit none of {have} (row numbers run "
            f"from 0 to their count less one): {places}"
        )
    known = [*answers.test_names, *(f"{a} {b}" for a, b in answers.pair_names)]
    reason = difference(ids, known) or f"; {OTHER_DATA}"
    return UserError(
        f"{sample.path}: {len(ids)} of {len(sample.rows)} ids match none of {have}: "
        f"{places}{reason}"
    )


def _means_images(sample: Sheet, open_R: Sequence[int], format: str | None) -> bool:
    """Row numbers fit as many images as pairs: which are meant? UserError when nothing says."""
    if format == "classification":
        return True
    labels = [sample.rows[r][1].strip() for r in open_R]
    if sample.header[1].strip().lower() in SIMILARITY_HEADERS or all("." in v for v in labels):
        return False
    raise UserError(
        f"{sample.path}: the row numbers 0 to {len(open_R) - 1} fit both the {len(open_R)} test "
        f"images and the {len(open_R)} test pairs; for classes set "
        "submission.format=classification, for similarities write the sample's labels as 0.0"
    )


def _means_faces(sample: Sheet, open_R: Sequence[int], format: str | None) -> bool:
    """Row numbers fit as many images as unknown faces: which are meant?"""
    if format not in (None, "verification"):  # which say nothing here
        return "face" in FORMATS[format].rows
    labels = [sample.rows[r][1].strip() for r in open_R]
    if any(label and not is_number(label) for label in labels):
        return True
    raise UserError(
        f"{sample.path}: the row numbers 0 to {len(open_R) - 1} fit both the test images and the "
        "unknown faces; set submission.format to classification or to identification"
    )


def parts_that_tell(test_names: Sequence[str], spell: Callable[[str, int], str] = bare) -> int:
    """How many last parts of their paths tell test images apart, as `spell` writes them: 1, the
    file's name, unless it clashes; all parts where not even these do."""
    most = max((name.count("/") + 1 for name in test_names), default=1)
    fits = (p for p in range(1, most) if len({spell(n, p) for n in test_names}) == len(test_names))
    return next(fits, most)


def _pair_index(pair_names: Sequence[tuple[str, str]]) -> dict[str, int]:
    """{"a b": test pair} of bare names; a pair in the other order gives way to an exact one."""
    index: dict[str, int] = {}
    for p, (a, b) in enumerate(pair_names):
        index.setdefault(f"{bare(a)} {bare(b)}", p)
    for p, (a, b) in enumerate(pair_names):
        index.setdefault(f"{bare(b)} {bare(a)}", p)
    return index


def refuse_gaps(sample: Sheet, asks: Sequence[Ask], answers: Answers) -> None:
    """UserError when a kind is asked for, but not of every image or pair, or of an image twice."""
    times = Counter(ask.number for ask in asks if ask.kind == "image")
    twice = [answers.test_names[i] for i, n in times.items() if n > 1]
    if twice:
        raise UserError(
            f"{sample.path}: {len(twice)} images are asked for twice: {first_five(twice)}"
        )
    absent = [name for i, name in enumerate(answers.test_names) if i not in times]
    if times and absent:
        raise UserError(
            f"{sample.path}: {len(absent)} of {len(answers.test_names)} test images are not asked "
            f"for: {first_five(absent)}; {OTHER_DATA}"
        )
    if any(ask.kind == "pair" for ask in asks):
        _refuse_gaps_of_pairs(sample, asks, answers)


def _refuse_gaps_of_pairs(sample: Sheet, asks: Sequence[Ask], answers: Answers) -> None:
    """Pairs of the same names share a row, so their scores must be the same."""
    names, score_P = answers.pair_names, answers.score_P
    assert score_P is not None
    row_of = {frozenset(names[ask.number]): ask.number for ask in asks if ask.kind == "pair"}
    left = [f"{a} {b}" for a, b in names if frozenset((a, b)) not in row_of]
    if left:
        raise UserError(
            f"{sample.path}: {len(left)} of {len(names)} test pairs are not asked for: "
            f"{first_five(left)}; {OTHER_DATA}"
        )
    written = {ask.number for ask in asks if ask.kind == "pair"}
    twin = {p: row_of[frozenset(names[p])] for p in range(len(names)) if p not in written}
    mixed = [" ".join(names[p]) for p, q in twin.items() if abs(score_P[p] - score_P[q]) > 1e-6]
    if mixed:
        raise UserError(
            f"{len(mixed)} test pairs have the file names of another pair but not its similarity, "
            f"so the names are no ids: {first_five(mixed)}"
        )


def in_words(asks: Sequence[Ask], shape: Shape) -> str:
    """How many rows ask for what."""
    words: dict[Kind, str] = {
        "image": shape.words,
        "pair": "the similarity of a pair",
        "face": "who an unknown face is",
    }
    times = Counter(ask.kind for ask in asks)
    return ", ".join(f"{times[kind]} rows ask for {w}" for kind, w in words.items() if times[kind])
