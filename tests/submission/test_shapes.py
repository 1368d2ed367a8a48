"""What samples ask of an image besides its class, against submissions written by hand."""

from dataclasses import replace

import numpy as np
import pytest

from starter.errors import UserError
from starter.submission import Answers, Ranked, check, fill, mean_by_id, write

NAMES = ["t0.jpg", "t1.jpg"]
CLASSES = ["cat", "dog", "new_whale"]
RANKED = Ranked(np.array([[1, 2, 0], [0, 2, 1]]), np.array([[0.75, 0.15, 0.1], [0.5, 0.25, 0.25]]))

# what a sample looks like: (its lines, the lines expected, what the note says)
SHAPES = {
    "five in a cell, another order": (
        ["Image,Id", "t1.jpg,new_whale cat dog", "t0.jpg,new_whale cat dog"],
        ["Image,Id", "t1.jpg,cat new_whale dog", "t0.jpg,dog new_whale cat"],
        "2 rows ask for the 3 likeliest classes of an image in a cell",
    ),
    "two in a cell, some fewer": (
        ["id,who", "t0,cat dog", "t1,cat"],
        ["id,who", "t0,dog new_whale", "t1,cat new_whale"],
        "the 2 likeliest",
    ),
    "in columns": (
        ["id,first,second", "t0,cat,dog", "t1,cat,dog"],
        ["id,first,second", "t0,dog,new_whale", "t1,cat,new_whale"],
        "the 2 likeliest classes of an image in columns",
    ),
    "a probability a class, in the sample's order": (
        ["id,dog,new_whale,cat", "t1,0.3,0.3,0.4", "t0,0.3,0.3,0.4"],
        ["id,dog,new_whale,cat", "t1,0.25,0.25,0.5", "t0,0.75,0.15,0.1"],
        "the probabilities of 3 classes",
    ),
    "probabilities of some classes": (
        ["id,new_whale,dog", "t0,0.1,0.1", "t1,0.1,0.1"],
        ["id,new_whale,dog", "t0,0.15,0.75", "t1,0.25,0.25"],
        "the probabilities of 2 classes",
    ),
    "a class and how sure it is": (
        ["id,landmarks", "t0,cat 0.5", "t1,"],
        ["id,landmarks", "t0,dog 0.75", "t1,cat 0.5"],
        "the class of an image and its probability",
    ),
}


def answers(names=NAMES, classes=CLASSES, ranked=RANKED) -> Answers:
    return Answers(
        names, [classes[k] for k in ranked.class_MT[:, 0]], classes=classes, ranked=ranked
    )


def filled(tmp_path, lines, **keys):
    (tmp_path / "sample.csv").write_text("\n".join(lines) + "\n")
    table = fill(tmp_path / "sample.csv", "classification", answers(**keys))
    write(table, tmp_path / "out.csv")
    return table, (tmp_path / "out.csv").read_text().splitlines()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sample_is_answered_to_the_last_cell(tmp_path, shape):
    sample, expected, note = SHAPES[shape]
    table, lines = filled(tmp_path, sample)
    assert lines == expected and note in table.note
    problems = check(tmp_path / "out.csv", tmp_path / "sample.csv")
    assert [problem for problem in problems if problem.severity == "error"] == []


def test_ids_of_hex_digits_of_which_some_are_numbers(tmp_path):
    _, lines = filled(tmp_path, ["id,label", "0012,cat", "3e4c,cat"], names=["3e4c", "0012"])
    assert lines == ["id,label", "0012,cat", "3e4c,dog"]


def test_a_fraction_for_two_classes_is_of_the_last(tmp_path):
    two = Ranked(np.array([[1, 0], [0, 1]]), np.array([[0.8, 0.2], [0.9, 0.1]]))
    _, lines = filled(tmp_path, ["id,label", "t0,0.5", "t1,0.5"], classes=["0", "1"], ranked=two)
    assert lines == ["id,label", "t0,0.8", "t1,0.1"]


def test_what_is_not_kept_of_the_probabilities_is_shared_by_the_other_classes():
    kept = Ranked(np.array([[3, 1]]), np.array([[0.6, 0.2]]))
    assert np.allclose(kept.all(4), [[0.1, 0.2, 0.1, 0.6]])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["id,cat,dog,horse", "t0,0,0,0", "t1,0,0,0"], "line 1: columns that are no class: horse"),
        (["id,x,y", "t0,1,2", "t1,1,2"], "2 columns .*neither classes"),
        (["id,label", "t0,0.5", "t1,0.5"], "fractions .*nothing says of which class"),
        (["id,label", "t0,cat a b c", "t1,dog"], "asks for 4 classes of each image"),
    ],
)
def test_a_sample_that_asks_for_more_is_refused(tmp_path, lines, said):
    with pytest.raises(UserError, match=said):
        filled(tmp_path, lines)


def test_photos_of_one_observation_are_averaged():
    rng = np.random.default_rng(0)
    probability_MK = rng.dirichlet(np.ones(5), 6)
    class_MK = np.argsort(-probability_MK, axis=1)
    ranked = Ranked(class_MK, np.take_along_axis(probability_MK, class_MK, axis=1))
    ids, mean = mean_by_id(["b", "a", "b", "c", "a", "b"], ranked, 5)
    assert ids == ["b", "a", "c"]
    for row, photos in enumerate(([0, 2, 5], [1, 4], [3])):
        plain = probability_MK[photos].mean(0)
        assert np.array_equal(mean.class_MT[row], np.argsort(-plain))
        assert np.allclose(mean.probability_MT[row], np.sort(plain)[::-1])


def test_bad_cells_of_such_files_are_found(tmp_path):
    sample, out = tmp_path / "sample.csv", tmp_path / "out.csv"
    sample.write_text("id,label\nt0,cat dog\nt1,cat dog\n")
    out.write_text("id,label\nt0,cat cat\nt1,cat dog new_whale\n")
    assert {(p.code, p.line) for p in check(out, sample)} == {("repeated", 2), ("too-many", 3)}
    sample.write_text("id,cat,dog\nt0,0.5,0.5\nt1,0.5,0.5\n")
    out.write_text("id,cat,dog\nt0,0.5,0.4\nt1,0.25,0.75\n")
    assert {(p.code, p.line) for p in check(out, sample)} == {("sum", 2)}


SURE = Ranked(np.array([[1, 0], [0, 1]]), np.array([[0.75, 0.25], [0.5, 0.5]]))
# the lines of a sample, those expected where nobody is known below 0.6
NOBODY = {
    "a class": (["t1,new_thing", "t0,dog"], ["t1,new_thing", "t0,dog"]),
    "a list": (
        ["t1,new_thing cat dog", "t0,dog"],
        ["t1,new_thing cat dog", "t0,dog new_thing cat"],
    ),
    "a shorter list": (["t1,cat unknown", "t0,dog"], ["t1,unknown cat", "t0,dog unknown"]),
}


@pytest.mark.parametrize("case", NOBODY)
def test_the_word_for_nobody_stands_where_the_threshold_falls(tmp_path, case):
    sample, out = tmp_path / "sample.csv", tmp_path / "out.csv"
    given, expected = NOBODY[case]
    sample.write_text("\n".join(["id,who", *given]))
    known = Answers(NAMES, ["dog", "cat"], classes=("cat", "dog"), ranked=SURE, nobody_below=0.6)
    write(fill(sample, None, known), out)
    assert out.read_text().splitlines() == ["id,who", *expected]
    with pytest.raises(UserError, match=r"data\.pairs: \{hold_out: 0\.1\}"):
        fill(sample, None, replace(known, nobody_below=None))


def test_the_word_for_nobody_in_columns(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("id,first,second\nt0,unknown,dog\nt1,cat,dog\n")
    known = Answers(NAMES, ["dog", "cat"], classes=("cat", "dog"), ranked=SURE, nobody_below=0.2)
    assert fill(sample, None, known).rows == [("t0", "dog", "cat"), ("t1", "cat", "dog")]


def test_a_class_that_begins_with_such_a_word_is_a_class(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("id,who\nt0,new york\nt1,dog\n")
    known = Answers(NAMES, ["dog", "new york"], classes=("new york", "dog"), ranked=SURE)
    assert fill(sample, None, known).rows == [("t0", "dog"), ("t1", "new york")]
