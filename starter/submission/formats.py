"""A submission filled in: the answers in the ids and order of the sample, or of a known format."""

from pathlib import Path

from starter.errors import UserError
from starter.submission.answers import Answers, Ask, Kind
from starter.submission.sample import in_words, parts_that_tell, recognise, refuse_gaps
from starter.submission.shapes import Shape, shape_of
from starter.submission.table import Sheet, Style, Table, is_number, read_sample, stem
from starter.submission.years import FORMATS, Format

FORMAT_OF: dict[Kind, str] = {
    "pair": "verification",
    "face": "identification",
    "image": "classification",
}


def fill(sample_path: str | Path | None, format: str | None, answers: Answers) -> Table:
    """Answers every row of a sample submission, or of the documented default without one.

    An id asks for the class of a test image (its file name, with or without folders or ending),
    for the similarity of a test pair ("a b", in either order), or is a row number (0 to n - 1, of
    the pairs, of the images or of the unknown faces, whichever are n). Without a sample, `format`
    (by default the first of these three that the data has answers for: verification,
    identification, classification) gives what FORMATS says of it, among them:
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
        A table in the sample's order and spelling; its note says what was recognised.
    Raises:
        UserError: the sample asks for what the data lacks, leaves images or pairs out, or can be
            read in two ways; a score is not finite.
    """
    written = format or next((FORMAT_OF[k] for k in FORMAT_OF if answers.count[k]), "combined")
    entry, style = FORMATS[written], Style()
    numbered, shape = entry.label == "index" and bool(answers.classes), Shape("class")
    if sample_path is None:
        header: tuple[str, ...] = entry.header
        ids, asks = _rows_of_format(written, entry, answers)
        note = f"no sample submission: wrote the default of submission.format={written}"
        if not entry.verified:
            note += " (unverified: compare it with the competition's own sample)"
    else:
        sample = read_sample(sample_path)
        asks = recognise(sample, format, answers)
        refuse_gaps(sample, asks, answers)
        header, style = tuple(sample.header), sample.style()
        ids = [row[0] for row in sample.rows]
        shape, numbers_for_names = _shape_of_images(sample, asks, answers)
        note = in_words(asks, shape)
        if numbers_for_names:
            numbered = True
            note += "; the sample has numbers for classes, so each is written as its place in order"
    if entry.upload != "submission.csv":
        note += f"; the course names this file {entry.upload}"
    cells = answers.cells(asks, shape, numbered=numbered)
    return Table(header, [(id, *rest) for id, rest in zip(ids, cells, strict=True)], note, style)


def _shape_of_images(sample: Sheet, asks: list[Ask], answers: Answers) -> tuple[Shape, bool]:
    """What the rows of images ask for, and whether they have whole numbers for classes that the
    data knows by name. UserError where several columns stand beside rows that have one answer."""
    images = [row for row, ask in zip(sample.rows, asks, strict=True) if ask.kind == "image"]
    if len(sample.header) > 2 and len(images) < len(asks):
        raise UserError(
            f"{sample.path}, line 1: {len(sample.header)} columns ({', '.join(sample.header)}), "
            "but not every row asks about an image; pairs and faces have one answer each"
        )
    if not images:
        return Shape("class"), False
    numbers = all(is_number(row[1].strip()) for row in images)
    named = not all(map(is_number, answers.classes))
    return shape_of(sample, images, answers.classes), numbers and named


def _rows_of_format(format: str, entry: Format, answers: Answers) -> tuple[list[str], list[Ask]]:
    """Ids of every image, pair or face that a format asks for, and what each asks."""
    _refuse_lacking(format, entry, answers)
    ids: list[str] = []
    asks: list[Ask] = []
    for kind in entry.rows:
        count = answers.count[kind]
        asks += [Ask(kind, i) for i in range(count)]
        if kind == "image":
            parts = parts_that_tell(answers.test_names, stem)
            stems = (stem(name, parts) for name in answers.test_names)
            ids += stems if entry.id == "stem" else answers.test_names
        elif entry.id == "row":
            ids += map(str, range(count))
        else:
            ids += answers.pair_ids or [f"{a} {b}" for a, b in answers.pair_names]
    return ids, asks


def _refuse_lacking(format: str, entry: Format, answers: Answers) -> None:
    """UserError when the data lacks what a format asks for, with the format that would do."""
    words: dict[Kind, str] = {"image": "test images", "pair": "test pairs", "face": "unknown faces"}
    count = answers.count
    lacks = [kind for kind in entry.rows if not count[kind]]
    if not lacks:
        return
    hints = []
    if "pair" in lacks and count["image"]:
        hints.append("for classes alone set submission.format=classification")
    if count["face"] and "face" not in entry.rows:
        hints.append("for who the unknown faces are set submission.format=identification")
    can = [word for kind, word in words.items() if count[kind]]
    hint = "".join(f"; {text}" for text in hints) or (
        f" (it has {' and '.join(can)})" if can else ""
    )
    raise UserError(f"submission.format is {format}, but the data has no {words[lacks[0]]}{hint}")
