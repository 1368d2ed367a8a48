"""What each row of a sample submission asks for.

Shapes: R rows of the sample, M test images, P test pairs, T unknown faces.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from starter.errors import UserError
from starter.submission.ids import bare, first_five, is_number, pair_keys, stem
from starter.submission.table import Sheet
from starter.submission.years import FORMATS, MATCHES

SIMILARITY_HEADERS = {"match", "score", "similarity"}  # S19 to S22 verification samples
IMAGE, PAIR, FACE = "image", "pair", "face"  # a class, a similarity, who it is among the known
Ask = tuple[str, int]  # one of them, and which


def recognise(
    path: Path, sample: Sheet, format: str, test_names, pair_names, faces: int
) -> list[Ask]:
    """What each row asks for. UserError naming the rows that nothing fits."""
    if len(sample.header) != 2:
        raise UserError(
            f"{path}, line 1: {len(sample.header)} columns ({', '.join(sample.header)}); "
            "expected two, an id and a label, parted by a comma"
        )
    names = {bare(name) for name in test_names if not is_number(name)}
    by_name = image_index(test_names) if any(bare(r[0]) in names for r in sample.rows) else {}
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
        found = _numbered(path, sample, open_R, kinds, format, test_names, pair_names, faces)
        for r, ask in zip(open_R, found, strict=True):
            asked[r] = ask
    return [ask for ask in asked if ask is not None]


def _numbered(
    path: Path,
    sample: Sheet,
    open_R,
    kinds: set[str],
    format: str,
    test_names,
    pair_names,
    faces: int,
) -> list[Ask]:
    """Rows that no name fits: names without their ending, or row numbers of images, of pairs or of
    unknown faces."""
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
    if faces and numbers and len(ids) == faces and PAIR not in kinds:
        if not images or _means_faces(path, sample, open_R, format):
            return [(FACE, int(i)) for i in ids]
        return images
    if images and pairs:
        return images if _means_images(path, sample, open_R, format) else pairs
    if images or pairs:
        return images or pairs
    places = [f"{sample.rows[r][0]!r} (line {sample.line_R[r]})" for r in open_R]
    have = f"the {len(test_names)} test images or {len(pair_names)} test pairs"
    have += f" or {faces} unknown faces" if faces else ""
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


def _means_faces(path: Path, sample: Sheet, open_R, format: str) -> bool:
    """Row numbers fit as many images as unknown faces: which are meant?"""
    if format != "verification":  # the default, which says nothing here
        return MATCHES in FORMATS[format].rows
    labels = [sample.rows[r][1].strip() for r in open_R]
    if any(label and not is_number(label) for label in labels):
        return True
    raise UserError(
        f"{path}: the row numbers 0 to {len(open_R) - 1} fit both the test images and the unknown "
        "faces; set submission.format to classification or to identification"
    )


def image_index(test_names: Sequence[str]) -> dict[str, int]:
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


def refuse_gaps(path: Path, asked: list[Ask], test_names, pair_names, score_P) -> None:
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


def recognised(asked: list[Ask]) -> str:
    times = Counter(kind for kind, _ in asked)
    parts = [
        f"{times[kind]} rows ask for {what}"
        for kind, what in (
            (IMAGE, "the class of an image"),
            (PAIR, "the similarity of a pair"),
            (FACE, "who an unknown face is"),
        )
        if times[kind]
    ]
    return ", ".join(parts)


def wants_numbers(sample: Sheet, asked: list[Ask], classes: Sequence[str]) -> bool:
    """Whether images are labelled with whole numbers, in the sample but not in the data."""
    labels = [
        row[1].strip() for row, ask in zip(sample.rows, asked, strict=True) if ask[0] == IMAGE
    ]
    return bool(labels) and all(map(is_number, labels)) and not all(map(is_number, classes))
