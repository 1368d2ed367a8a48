"""What the rows of a sample ask for: every layout a course has published, and what is refused."""

import typing

import numpy as np
import pytest

from starter.errors import UserError
from starter.recipe.schema.verify import SubmissionSection
from starter.submission import Answers, check, fill, write
from starter.submission.years import FORMATS

NAMES = ["t0.jpg", "t1.jpg", "t2.jpg"]
CLASSES = ["17", "3", "n000317"]
PAIRS = [("a.jpg", "b.jpg"), ("c.jpg", "a.jpg")]
SCORES = np.array([0.731, -0.2], np.float32)
SAME = {"a.jpg b.jpg": "0.731000006", "c.jpg a.jpg": "-0.200000003"}  # nearest 9-digit decimals
ANSWERS = {"names": NAMES, "classes": CLASSES, "pairs": PAIRS, "scores": SCORES}


@pytest.fixture
def answer(tmp_path):
    """fill() of a sample's text, by default for three images and two pairs."""

    def answer(sample: str | None, format="verification", **changed):
        path = None
        if sample is not None:
            path = tmp_path / "sample.csv"
            path.write_text(sample, encoding="utf-8")
        return fill(path, format, Answers(*(ANSWERS | changed).values()))

    return answer


def rows(ids: str, *labels: str) -> list[tuple[str, str]]:
    return list(zip(ids.split("|"), labels, strict=True))


S0, S1 = SAME.values()
BOTH = (*CLASSES, S0, S1)
# case: (header, ids, labels expected, what the note counts: classes and similarities)
RECOGNISED = {
    "S22 cls, another order": ("id,label", "t2.jpg|t0.jpg|t1.jpg", (CLASSES[2], "17", "3"), (3, 0)),
    "with a folder": ("id,label", "test/t0.jpg|x/y/t1.jpg|t2.jpg", CLASSES, (3, 0)),
    "with a Windows folder": ("id,label", "v\\t0.jpg|v\\t1.jpg|v\\w\\t2.jpg", CLASSES, (3, 0)),
    "S19 cls, no ending": ("id,label", "t1|t2|t0", ("3", CLASSES[2], "17"), (3, 0)),
    "a folder and no ending": ("id,label", "x/t1|x/t2|x/t0", ("3", CLASSES[2], "17"), (3, 0)),
    "cls by row number": ("id,label", "2|0|1", (CLASSES[2], "17", "3"), (3, 0)),
    "S20 cls": ("Id,Category", "t0.jpg|t1.jpg|t2.jpg", CLASSES, (3, 0)),
    "F24 to S26 ver": ("ID,Label", "0|1", (S0, S1), (0, 2)),
    "S22 ver": ("id,match", "1|0", (S1, S0), (0, 2)),
    "S19, S20 ver": ("trial,score", "a.jpg b.jpg|c.jpg a.jpg", (S0, S1), (0, 2)),
    "F20 ver with folders": ("Id,Category", "v/c.jpg v/a.jpg|v/a.jpg v/b.jpg", (S1, S0), (0, 2)),
    "the other order of a pair": ("trial,score", "b.jpg a.jpg|a.jpg c.jpg", (S0, S1), (0, 2)),
    "both orders and twice": (
        "trial,score",
        "b.jpg a.jpg|a.jpg b.jpg|c.jpg a.jpg|c.jpg a.jpg",
        (S0, S0, S1, S1),
        (0, 4),
    ),
    "combined by names": ("ID,Label", "t0.jpg|t1.jpg|t2.jpg|a.jpg b.jpg|c.jpg a.jpg", BOTH, (3, 2)),
    "combined, mingled": (
        "ID,Label",
        "a.jpg c.jpg|t1.jpg|t0.jpg|a.jpg b.jpg|t2.jpg",
        (S1, "3", "17", S0, CLASSES[2]),
        (3, 2),
    ),
    "combined, pairs by row number": ("ID,Label", "t0.jpg|t1.jpg|t2.jpg|0|1", BOTH, (3, 2)),
    "combined, images by row number": ("ID,Label", "0|1|2|a.jpg b.jpg|c.jpg a.jpg", BOTH, (3, 2)),
    "combined, images without ending": (
        "ID,Label",
        "t0|t1|t2|a.jpg b.jpg|c.jpg a.jpg",
        BOTH,
        (3, 2),
    ),
}


@pytest.mark.parametrize("case", RECOGNISED)
def test_each_row_is_answered_in_the_samples_words_and_order(case, answer, tmp_path):
    header, ids, labels, (images, pairs) = RECOGNISED[case]
    sample = header + "\n" + "".join(f"{name},x\n" for name in ids.split("|"))
    table = answer(sample)
    assert table.header == tuple(header.split(","))
    assert table.rows == rows(ids, *labels)
    assert (f"{images} rows ask for the class" in table.note) == (images > 0)
    assert (f"{pairs} rows ask for the similarity" in table.note) == (pairs > 0)
    write(table, tmp_path / "out.csv")
    assert check(tmp_path / "out.csv", tmp_path / "sample.csv") == []


@pytest.mark.parametrize("zero", ["0", "0.0"])
def test_a_combined_answer_passes_the_check_of_its_sample_of_zeros(answer, tmp_path, zero):
    sample = "".join(f"{name},0\n" for name in NAMES) + "".join(f"{p},{zero}\n" for p in SAME)
    write(answer(f"ID,Label\n{sample}", classes=["17", "3", "0"]), tmp_path / "out.csv")
    assert check(tmp_path / "out.csv", tmp_path / "sample.csv") == []


def test_ids_are_text(answer):
    """F21 counts without zeros, S22 with: as stems, 007 is not 7."""
    names = ["007.jpg", "7.jpg", "0.jpg"]
    table = answer("id,label\n7,0\n007,0\n0,0\n", names=names, pairs=[], scores=())
    assert table.rows == rows("7|007|0", "3", "17", CLASSES[2])
    table = answer("id,label\n7.jpg,0\n0.jpg,0\n007.jpg,0\n", names=names, pairs=[], scores=())
    assert table.rows == rows("7.jpg|0.jpg|007.jpg", "3", CLASSES[2], "17")


def test_names_with_spaces(answer):
    names, pairs = ["my t.jpg", "t b.jpg"], [("my a.jpg", "my b.jpg"), ("a", "b.jpg")]
    sample = "ID,Label\nmy a.jpg my b.jpg,0\nmy t.jpg,0\nt b.jpg,0\na b.jpg,0\n"
    table = answer(sample, names=names, classes=["1", "2"], pairs=pairs)
    assert [label for _, label in table.rows] == [S0, "1", "2", S1]


def test_row_numbers_that_are_also_stems_of_some_images_mean_pairs(answer):
    """S22: 667,600 pairs by row number; F21: images 0.jpg to 7999.jpg."""
    table = answer("ID,Label\n0,0\n1,0\n", names=["0.jpg", "1.jpg", "2.jpg"])
    assert table.rows == rows("0|1", S0, S1)


def test_row_numbers_of_as_many_images_as_pairs(answer):
    two = {"names": NAMES[:2], "classes": CLASSES[:2]}
    images, pairs = rows("0|1", "17", "3"), rows("0|1", S0, S1)
    assert answer("id,label\n0,0\n1,0\n", "classification", **two).rows == images
    assert answer("id,label\n0,0.0\n1,0.5\n", **two).rows == pairs
    for header in ("id,match", "trial,score", "ID,Similarity"):
        assert answer(f"{header}\n0,0\n1,0\n", **two).rows == pairs
    with pytest.raises(UserError, match=r"fit both .*submission\.format=classification"):
        answer("ID,Label\n0,0\n1,0\n", **two)


DEFAULTS = {
    "verification": (("ID", "Label"), rows("0|1", S0, S1)),
    "classification": (("id", "label"), rows("|".join(NAMES), *CLASSES)),
    "combined": (("ID", "Label"), rows("|".join([*NAMES, *SAME]), *CLASSES, S0, S1)),
}


@pytest.mark.parametrize("format", DEFAULTS)
def test_without_a_sample_the_format_is_written_and_the_note_says_so(answer, format):
    table = answer(None, format)
    assert (table.header, table.rows) == DEFAULTS[format]
    assert f"submission.format={format}" in table.note
    assert ("unverified" in table.note) == (format == "combined")


def test_a_default_asks_only_for_what_it_needs(answer):
    assert len(answer(None, "verification", names=[], classes=[]).rows) == 2
    assert len(answer(None, "verification", classes=None).rows) == 2
    assert len(answer(None, "classification", pairs=[], scores=()).rows) == 3
    assert len(answer("ID,Label\n0,0\n1,0\n", classes=None).rows) == 2


NONE = {"names": [], "classes": []}
NO_PAIRS = {"pairs": [], "scores": ()}
REFUSED = {  # the sample, what differs in the answers, parts of the message
    "images missing in the data": (None, {"format": "combined", **NONE}, "no test images"),
    "no images for classes": (None, {"format": "classification", **NONE}, "no test images"),
    "no pairs": (None, NO_PAIRS, "no test pairs | submission.format=classification"),
    "no pairs for both": (None, {"format": "combined", **NO_PAIRS}, "no test pairs"),
    "no classes": (None, {"format": "classification", "classes": None}, "predicts none"),
    "classes asked, none predicted": (
        "id,label\nt0.jpg,0\nt1.jpg,0\nt2.jpg,0\n",
        {"classes": None},
        "predicts none",
    ),
    "images of one name, asked": (
        "id,label\nt.jpg,0\nz.jpg,0\n",
        {"names": ["x/t.jpg", "y/t.jpg", "z.jpg"]},
        "ids match none | 't.jpg' (line 2) | a folder in front of the file names",
    ),
    "pairs of one name": (
        "trial,score\na.jpg b.jpg,0\n",
        {"pairs": [PAIRS[0], ("b.jpg", "a.jpg")]},
        "names of another pair | b.jpg a.jpg",
    ),
    "an image left out": (
        "id,label\nt0.jpg,0\nt2.jpg,0\n",
        {},
        "1 of 3 test images are not asked for: t1.jpg | data.root | sample.csv",
    ),
    "an image left out by stem": (
        "id,label\nt0,0\nt2,0\n",
        {},
        "1 of 3 test images are not asked for: t1.jpg",
    ),
    "an image twice": (
        "id,label\nt0.jpg,0\nx/t0.jpg,0\nt1.jpg,0\nt2.jpg,0\n",
        {},
        "asked for twice: t0.jpg",
    ),
    "a pair left out": (
        "trial,score\nb.jpg a.jpg,0\n",
        {},
        "1 of 2 test pairs are not asked for: c.jpg a.jpg",
    ),
    "images left out beside all pairs": (
        "ID,Label\nt0.jpg,0\na.jpg b.jpg,0\na.jpg c.jpg,0\n",
        {},
        "2 of 3 test images",
    ),
    "an unknown image": (
        "id,label\nt0.jpg,0\nt1.jpg,0\nt2.jpg,0\nt9.jpg,0\n",
        {},
        "1 of 4 ids match none of the 3 test images or 2 test pairs | 't9.jpg' (line 5)",
    ),
    "an unknown pair": (
        "trial,score\na.jpg b.jpg,0\nb.jpg c.jpg,0\n",
        {},
        "'b.jpg c.jpg' (line 3)",
    ),
    "another data set": (
        "id,label\n" + "".join(f"q{i},0\n" for i in range(7)),
        {},
        "7 of 7 ids | 'q4' (line 6) and 2 more | data.root",
    ),
    "too many row numbers": (
        "ID,Label\n0,0\n1,0\n2,0\n3,0\n",
        {},
        "fit none of the 3 test images or 2 test pairs",
    ),
    "row numbers from 1": ("ID,Label\n1,0\n2,0\n", {}, "row numbers run from 0"),
    "a row number twice": ("ID,Label\n0,0\n0,0\n", {}, "fit none of"),
    "one column": ("ID\n0\n1\n", {}, "line 1: one column (ID) | expected an id"),
    "semicolons": ("ID;Label\n0;0\n", {}, "line 1: one column | separated by a comma"),
    "three columns": ("ID,Label,x\n1,0,0\n0,0,0\n", {}, "3 columns (ID, Label, x)"),
    "no rows": ("ID,Label\n", {}, "no rows"),
    "not a number": (
        "ID,Label\n0,0\n1,0\n",
        {"scores": np.array([0.5, np.nan], np.float32)},
        "1 scores | not finite: c.jpg a.jpg",
    ),
    "infinite": (None, {"scores": np.array([-np.inf, 0], np.float32)}, "not finite: a.jpg b.jpg"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_refused(case, answer):
    sample, more, parts = REFUSED[case]
    with pytest.raises(UserError) as error:
        answer(sample, **more)
    message = str(error.value)
    assert not [part for part in parts.split(" | ") if part not in message], message


def test_scores_that_are_not_asked_for_may_be_anything(answer):
    sample = "id,label\nt0.jpg,0\nt1.jpg,0\nt2.jpg,0\n"
    assert answer(sample, scores=np.array([np.nan, 0], np.float32)).rows[0] == ("t0.jpg", "17")


def test_scores_read_back_as_the_same_float32(answer, tmp_path):
    rng = np.random.default_rng(0)
    score_P = np.concatenate(
        [
            rng.uniform(-1, 1, 20_000),
            10.0 ** rng.uniform(-30, 0, 1000),
            [0, 1, -1, 1 / 3, np.finfo(np.float32).tiny, np.finfo(np.float32).eps],
            np.nextafter(np.float32(1), np.float32(0), dtype=np.float32)[None],
        ]
    ).astype(np.float32)
    pairs = [(f"a{p}", f"b{p}") for p in range(len(score_P))]
    write(answer(None, pairs=pairs, scores=score_P), tmp_path / "out.csv")
    read_P = np.genfromtxt(tmp_path / "out.csv", delimiter=",", skip_header=1)[:, 1]
    np.testing.assert_array_equal(read_P.astype(np.float32), score_P)


def test_a_class_folder_is_written_as_its_place_where_the_sample_has_numbers(tmp_path):
    sample = tmp_path / "sample.csv"
    answers = Answers(
        ["0.jpg", "1.jpg"], ["n000009", "n000001"], classes=("n000001", "n000005", "n000009")
    )
    sample.write_text("id,label\n0.jpg,0\n1.jpg,0\n")
    table = fill(sample, "classification", answers)
    assert [row[1] for row in table.rows] == ["2", "0"] and "place in order" in table.note
    sample.write_text("id,label\n0.jpg,n000001\n1.jpg,n000001\n")
    table = fill(sample, "classification", answers)
    assert [row[1] for row in table.rows] == ["n000009", "n000001"]


NINE = ["0.jpg", "1.jpg", "2.jpg"]
ROW_SCORES = f"0,{S0}\n1,{S1}\n"
PAIR_SCORES = f"v/a.jpg v/b.jpg,{S0}\nv/c.jpg v/a.jpg,{S1}\n"
MATCHED = "id,label\n0,n000100\n1,n000000\n2,n000200\n"
# Written by hand from the starters' cells: classes are n000002 and n000010, ImageFolder's 0 and 1.
BY_HAND = {
    "s19_classification": "id,label\n0,n000010\n1,n000002\n2,n000010\n",
    "s20_classification": "Id,Category\n0.jpg,n000010\n1.jpg,n000002\n2.jpg,n000010\n",
    "s21_classification": "id,label\n0.jpg,n000010\n1.jpg,n000002\n2.jpg,n000010\n",
    "f21_classification": "id,label\n0.jpg,n000010\n1.jpg,n000002\n2.jpg,n000010\n",
    **dict.fromkeys(
        [f"{year}_classification" for year in ("s22", "f22", "s23", "f23", "s24")],
        "id,label\n0.jpg,1\n1.jpg,0\n2.jpg,1\n",
    ),
    **dict.fromkeys(["s19_verification", "s20_verification"], f"trial,score\n{PAIR_SCORES}"),
    **dict.fromkeys(
        ["f20_verification", "s21_verification", "f21_verification"], f"Id,Category\n{PAIR_SCORES}"
    ),
    "s22_verification": f"id,match\n{ROW_SCORES}",
    **dict.fromkeys(
        ["identification", *(f"{y}_identification" for y in ("f22", "s23", "f23", "s24"))], MATCHED
    ),
    **dict.fromkeys(
        [f"{y}_verification" for y in ("f24", "s25", "f25", "s26")], f"ID,Label\n{ROW_SCORES}"
    ),
    "f26_combined": "ID,Label\n0.jpg,n000010\n1.jpg,n000002\n2.jpg,n000010\n" + PAIR_SCORES,
}


@pytest.mark.parametrize("format", BY_HAND)
def test_a_years_file_equals_one_written_by_hand(format, tmp_path):
    faces = ["n000100", "n000000", "n000200"] if "identification" in format else []
    answers = Answers(
        test_names=NINE,
        class_of_test=["n000010", "n000002", "n000010"],
        pair_names=PAIRS,
        score_P=SCORES,
        classes=["n000002", "n000010"],
        match_of_face=faces,
        pair_ids=["v/a.jpg v/b.jpg", "v/c.jpg v/a.jpg"],
    )
    table = fill(None, format, answers)
    write(table, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == BY_HAND[format]
    early = "verification_early_submission.csv"
    assert (early in table.note) == (format[:3] in ("f24", "s25", "f25", "s26"))
    assert ("unverified" in table.note) == (format == "f26_combined")


def test_every_format_a_recipe_may_name_is_known_and_written_by_hand_here():
    allowed, _ = typing.get_args(SubmissionSection.model_fields["format"].annotation)  # or None
    allowed = typing.get_args(allowed)
    assert set(allowed) == set(FORMATS) == set(BY_HAND) | set(DEFAULTS)


def faces_of(sample, format="verification", faces=("n1", "n0", "n2"), names=()):
    answers = Answers(names, ["7"] * len(names), classes=["7"], match_of_face=faces)
    return fill(sample, format, answers)


def test_a_sample_of_row_numbers_asks_for_unknown_faces(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("id,label\n2,n000000\n0,n000000\n1,n000000\n")
    assert faces_of(sample).rows == rows("2|0|1", "n2", "n1", "n0")
    assert "3 rows ask for who an unknown face is" in faces_of(sample).note
    assert faces_of(sample, names=NINE).rows[0] == ("2", "n2")  # the labels are no numbers
    sample.write_text("id,label\n0,0\n1,0\n2,0\n")
    assert faces_of(sample, "f22_identification", names=NINE).rows[2] == ("2", "n2")
    assert faces_of(sample, "f22_classification", names=NINE).rows[2] == ("2", "0")
    with pytest.raises(UserError, match="fit both the test images and the unknown faces"):
        faces_of(sample, names=NINE)
    sample.write_text("id,label\n0,0\n1,0\n")
    with pytest.raises(UserError, match="or 3 unknown faces"):
        faces_of(sample)


def test_a_format_the_data_cannot_give_says_what_it_can(answer):
    with pytest.raises(UserError, match=r"no unknown faces \(it has test images and test pairs\)"):
        answer(None, "s23_identification")
    with pytest.raises(UserError, match=r"no test pairs; .*set submission\.format=identification"):
        faces_of(None)


CLASH = ["test/x/t.jpg", "test/y/t.jpg", "test/y/u.jpg"]


@pytest.mark.parametrize("ids", [CLASH, ["x/t.jpg", "y/t.jpg", "y/u.jpg"], ["x/t", "y/t", "y/u"]])
def test_images_of_one_name_are_told_apart_by_their_paths(answer, ids):
    lines = [f"{ids[k]},0" for k in (1, 2, 0)]
    table = answer("\n".join(["id,label", *lines]), names=CLASH)
    assert table.rows == [(ids[k], CLASSES[k]) for k in (1, 2, 0)]
    assert answer(None, "classification", names=CLASH).rows == list(
        zip(CLASH, CLASSES, strict=True)
    )
    stems = [name for name, _ in answer(None, "s19_classification", names=CLASH).rows]
    assert stems == ["x/t", "y/t", "y/u"]


@pytest.mark.parametrize(
    ("lacks", "header"), [({}, ("ID", "Label")), (NO_PAIRS, ("id", "label"))], ids=["pairs", "none"]
)
def test_what_is_written_where_nothing_is_said(answer, lacks, header):
    table = answer(None, None, **lacks)
    assert table.header == header and len(table.rows) == (3 if lacks else 2)
