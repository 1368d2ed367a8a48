"""Every way a submission file is known to be wrong, against what `check` says of it."""

import sys

import pytest

from starter.errors import UserError
from starter.submission import check

NUMBERED = "ID,Label\n0,0\n1,0\n2,0\n"  # F24 to S26
NAMED = "id,label\n000.jpg,0\n001.jpg,0\n002.jpg,0\n"  # S22
COMBINED = "ID,Label\nx.jpg,0\ny.jpg,0\na.jpg b.jpg,0\nc.jpg a.jpg,0\n"
IDENTITIES = "id,label\n0,n000000\n1,n000000\nNA,n000000\n"  # F22 to S24
BLANK = "id,label\n0,\n1,\n"
MANY = "ID,Label\n" + "".join(f"p{i},0\n" for i in range(9))


@pytest.fixture
def judge(tmp_path):
    """The problems of a file's text or bytes; None is no file."""

    def judge(sample: str, mine: str | bytes | None):
        (tmp_path / "sample.csv").write_text(sample, encoding="utf-8")
        path = tmp_path / "mine.csv"
        if mine is not None:
            path.write_bytes(mine if isinstance(mine, bytes) else mine.encode())
        return check(path, tmp_path / "sample.csv")

    return judge


RIGHT = {
    "similarities": (NUMBERED, "ID,Label\n0,0.731\n1,-0.02\n2,1\n"),
    "exponents": (NUMBERED, "ID,Label\n0,1e-05\n1,-2.5E-3\n2,0.5\n"),
    "windows line ends, no last one": (NUMBERED, "ID,Label\r\n0,0.7\r\n1,0.1\r\n2,0.2"),
    "quotes and blank lines": (NUMBERED, '"ID","Label"\n"0","0.7"\n\n1,0.1\n2,0.2\n\n'),
    "classes": (NAMED, "id,label\n000.jpg,17\n001.jpg,0\n002.jpg,3\n"),
    "classes and similarities": (
        COMBINED,
        "ID,Label\nx.jpg,17\ny.jpg,3\na.jpg b.jpg,0.731\nc.jpg a.jpg,-0.2\n",
    ),
    "similarities that are all whole": (
        COMBINED,
        "ID,Label\nx.jpg,17\ny.jpg,3\na.jpg b.jpg,1.0\nc.jpg a.jpg,-1.0\n",
    ),
    "a sample of 0 and 0.0": (
        "ID,Label\nx.jpg,0\na.jpg b.jpg,0.0\n",
        "ID,Label\nx.jpg,5\na.jpg b.jpg,0.25\n",
    ),
    "classes and numbered similarities": (
        "ID,Label\nx.jpg,0\n0,0\n1,0\n",
        "ID,Label\nx.jpg,5\n0,0.25\n1,0.5\n",
    ),
    "probabilities": ("id,p\nx.jpg,0\ny.jpg,0\n", "id,p\nx.jpg,0.25\ny.jpg,1.0\n"),
    "a real sample": ("id,p\nx.jpg,0.5\ny.jpg,0.5\n", "id,p\nx.jpg,3.0\ny.jpg,1\n"),
    "identities": (IDENTITIES, "id,label\n0,n000317\n1,n000000\nNA,n000001\n"),
    "an id that is literally NA": (
        "id,label\nNA,0\nnan,0\nNone,0\n",
        "id,label\nNA,1\nnan,2\nNone,3\n",
    ),
    "a class that is literally None": (
        "id,label\na,Smile\nb,None\n",
        "id,label\na,None\nb,Smile\n",
    ),
    "names beyond ASCII": ("id,label\nÜnï ⊕.jpg,0\n", "id,label\nÜnï ⊕.jpg,4\n"),
    "a name with a comma": ('id,label\n"a,b.jpg",0\n', 'id,label\n"a,b.jpg",4\n'),
    "several columns": ("id,cat,dog\na,0.5,0.5\n", "id,cat,dog\na,0.25,0.75\n"),
    "a pair asked for twice": (
        "trial,score\na b,0\na b,0\nb c,0\n",
        "trial,score\na b,0.5\na b,0.5\nb c,0.25\n",
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_file_has_no_problem(case, judge):
    assert judge(*RIGHT[case]) == []


# case: (sample, file, all problems, each as "code line: part of the message | another part")
WRONG = {
    "absent": (NUMBERED, None, "file: No such file"),
    "empty": (NUMBERED, "", "empty: is empty"),
    "only blank lines": (NUMBERED, "\n\r\n", "empty: is empty"),
    "only a header": (
        NUMBERED,
        "ID,Label\n",
        "empty: no rows",
        "missing-ids: 0 rows, the sample has 3 | 0, 1, 2",
    ),
    "byte order mark": (
        NUMBERED,
        b"\xef\xbb\xbfID,Label\n0,0.5\n1,0.25\n2,0.125\n",
        "bom 1: UTF-8 without BOM",
    ),
    "latin-1": (
        NAMED,
        "id,label\n000.jpg,1\nnä.jpg,2\n".encode("latin-1"),
        "encoding 3: not UTF-8",
    ),
    "latin-1 after a byte order mark": (
        NAMED,
        b"\xef\xbb\xbfid,label\n\xe4\n",
        "encoding 2: not UTF-8",
    ),
    "utf-16": (NUMBERED, NUMBERED.encode("utf-16"), "encoding 1: save it as"),
    "open quote": (NUMBERED, 'ID,Label\n"0,0.5\n1,0\n', "syntax 3: csv"),
    # the header
    "another case": (
        NUMBERED,
        "Id,label\n0,0.5\n1,0\n2,0\n",
        "header 1: is Id,label | should be ID,Label | "
        "rename 'Id' to 'ID' | rename 'label' to 'Label'",
    ),
    "a space in the header": (
        NUMBERED,
        "ID, Label\n0,0.5\n",
        "header 1: rename ' Label' to 'Label'",
    ),
    "a misspelt column": (NUMBERED, "ID,Lable\n0,0.5\n", "header 1: rename 'Lable' to 'Label'"),
    "another column": (
        NUMBERED,
        "ID,Similarity\n0,0.5\n",
        "header 1: remove the column 'Similarity' | add 'Label'",
    ),
    "a column too many": (
        NUMBERED,
        "ID,Label,file\n0,0.5,x\n",
        "header 1: remove the column 'file'",
    ),
    "a column too few": (NUMBERED, "ID\n0\n1\n2\n", "header 1: add 'Label'"),
    "a column twice": (NUMBERED, "ID,Label,Label\n0,1,1\n", "header 1: 'Label' appears 2 times"),
    "pandas' index": (NUMBERED, ",ID,Label\n0,0,0.5\n1,1,0.5\n2,2,0.5\n", "header 1: index=False"),
    "pandas' index, read and written again": (
        NUMBERED,
        "Unnamed: 0,ID,Label\n0,0,0.5\n",
        "header 1: index=False",
    ),
    "semicolons": (NUMBERED, "ID;Label\n0;0.5\n", "header 1: by semicolons"),
    "tabs": (NUMBERED, "ID\tLabel\n0\t0.5\n", "header 1: by tabs"),
    "spaces": (NUMBERED, "ID Label\n0 0.5\n", "header 1: by spaces"),
    "no header": (NUMBERED, "0,0.5\n1,0.25\n2,0.5\n", "header 1: no header | ID,Label"),
    "columns in another order": (NUMBERED, "Label,ID\n0.5,0\n0.5,1\n", "header 1: another order"),
    # the rows
    "a row too long and one too short": (
        NUMBERED,
        "ID,Label\n0,0.5\n\n1,0.25,7\n2\n",
        "fields 4: 2 rows do not have 2 fields | 3 fields (line 4) | 1 fields (line 5)",
    ),
    "missing ids": (
        MANY,
        "ID,Label\np3,0.5\np7,0.5\n",
        "missing-ids: 7 ids | 2 rows, the sample has 9 | p0, p1, p2, p4, p5 and 2 more",
    ),
    "extra ids": (
        NUMBERED,
        "ID,Label\n0,0.5\n1,0.5\n2,0.5\n" + "".join(f"q{i},1\n" for i in range(6)),
        "extra-ids 5: 6 ids | 9 rows, the sample has 3 | q0, q1, q2, q3, q4 and 1 more",
    ),
    "an empty id": (NUMBERED, "ID,Label\n0,0.5\n,0.5\n1,0.5\n2,0.25\n", "extra-ids 3: : ''"),
    "an id twice": (
        NUMBERED,
        "ID,Label\n0,0.5\n1,0.5\n0,0.5\n2,0.5\n",
        "duplicate-ids 4: 1 ids | 4 rows, the sample has 3 | : 0",
    ),
    "an id in place of another": (
        NUMBERED,
        "ID,Label\n0,0.5\n1,0.5\n1,0.5\n",
        "duplicate-ids 4: : 1",
        "missing-ids: : 2",
    ),
    "an id of two once": (
        "trial,score\na b,0\na b,0\nb c,0\n",
        "trial,score\na b,0.5\nb c,0.25\n",
        "missing-ids: 2 rows, the sample has 3 | : a b",
    ),
    "leading zeros lost": (
        NAMED.replace(".jpg", ""),
        "id,label\n0,1\n1,2\n2,3\n",
        "missing-ids: 000, 001, 002 | leading zeros lost | as text",
        "extra-ids 2: 0, 1, 2 | leading zeros",
    ),
    "numbers as reals": (
        NUMBERED,
        "ID,Label\n0.0,0.5\n1.0,0.5\n2.0,0.25\n",
        "missing-ids: 3.0 for 3",
        "extra-ids 2: 3.0 for 3",
    ),
    "names without an ending": (
        NAMED,
        "id,label\n000,1\n001,2\n002,3\n",
        "missing-ids: ending",
        "extra-ids 2: ending",
    ),
    "names with a folder": (
        COMBINED,
        "ID,Label\nt/x.jpg,1\nt/y.jpg,2\nv/a.jpg v/b.jpg,0.5\nv/c.jpg v/a.jpg,0.25\n",
        "missing-ids: folder",
        "extra-ids 2: folder",
    ),
    "pairs in the other order": (
        COMBINED,
        "ID,Label\nx.jpg,1\ny.jpg,2\nb.jpg a.jpg,0.5\nc.jpg a.jpg,0.25\n",
        "missing-ids: a.jpg b.jpg | order of the two",
        "extra-ids 4: b.jpg a.jpg",
    ),
    "spaces around": (
        NUMBERED,
        "ID,Label\n0 ,0.5\n1,0.5\n2,0.25\n",
        "missing-ids: spaces",
        "extra-ids 2: spaces",
    ),
    "an id that is literally NA, lost": (
        IDENTITIES,
        "id,label\n0,n000317\n1,n000000\n,n000001\n",
        "missing-ids: : NA",
        "extra-ids 4: : ''",
    ),
    "another order": (NUMBERED, "ID,Label\n2,0.5\n0,0.5\n1,0.25\n", "order: order"),
    # the labels
    "empty and NaN": (
        NUMBERED,
        "ID,Label\n0,\n1,NaN\n2,0.5\n",
        "null 2: 2 rows | '' (line 2) | 'NaN' (line 3)",
    ),
    "None": (NAMED, "id,label\n000.jpg,1\n001.jpg,None\n002.jpg,3\n", "null 3: 'None' (line 3)"),
    "NA for an identity": (IDENTITIES, "id,label\n0,n000317\n1,NA\nNA,n000001\n", "null 3: 'NA'"),
    "empty as in the sample": (BLANK, "id,label\n0,5\n1,\n", "null 3: no value"),
    "infinite": (
        NUMBERED,
        "ID,Label\n0,inf\n1,-Infinity\n2,1e999\n",
        "infinite 2: 3 rows | '-Infinity' (line 3)",
    ),
    "no number": (
        NUMBERED,
        "ID,Label\n0,0.5\n1,same\n2,1_0\n",
        "label 3: 'same' (line 3), '1_0' (line 4)",
    ),
    "no number, of a pair": (
        COMBINED,
        "ID,Label\nx.jpg,1\ny.jpg,2\na.jpg b.jpg,yes\nc.jpg a.jpg,0.5\n",
        "label 4: 'yes'",
    ),
    "a decimal comma": (NUMBERED, 'ID,Label\n0,"0,5"\n1,0.5\n2,0.25\n', "label 2: '0,5'"),
    "classes as reals": (
        NAMED,
        "id,label\n000.jpg,3.0\n001.jpg,17.0\n002.jpg,0.0\n",
        "float-label 2: write 3, not 3.0 | 3 rows | '17.0' (line 3)",
    ),
    "classes as reals beside a gap": (
        NAMED,
        "id,label\n000.jpg,3.0\n001.jpg,\n002.jpg,1\n",
        "null 3:",
        "float-label 2: 1 rows | '3.0'",
    ),
    "classes as reals beside similarities": (
        COMBINED,
        "ID,Label\nx.jpg,17.0\ny.jpg,3.0\na.jpg b.jpg,0.731\nc.jpg a.jpg,-0.2\n",
        "float-label 2: 2 rows | '3.0' (line 3)",
    ),
    "classes as reals beside numbered similarities": (
        "ID,Label\nx.jpg,0\n0,0\n1,0\n",
        "ID,Label\nx.jpg,5.0\n0,0.25\n1,0.5\n",
        "float-label 2: 1 rows",
    ),
    "one of several columns": (
        "id,cat,dog\na,0.5,0.5\nb,0.5,0.5\n",
        "id,cat,dog\na,0.25,0.75\nb,0.5,\n",
        "null 3: dog has no value",
    ),
    "a copy of the sample": (NUMBERED, NUMBERED, "unfilled: a number as id (3)"),
    "pairs not filled in": (
        COMBINED,
        "ID,Label\nx.jpg,17\ny.jpg,3\na.jpg b.jpg,0\nc.jpg a.jpg,0\n",
        "unfilled: two names as id (2)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_told_why(case, judge):
    sample, mine, *expected = WRONG[case]
    problems = {problem.code: problem for problem in judge(sample, mine)}
    places = dict(text.split(":", 1) for text in expected)
    assert {place.split()[0] for place in places} == set(problems), list(
        map(str, problems.values())
    )
    for place, parts in places.items():
        code, line = (*place.split(), None)[:2]
        problem = problems[code]
        severity = "warning" if code in ("order", "unfilled") else "error"
        assert (problem.severity, problem.line) == (severity, line and int(line)), problem
        absent = [part for part in parts.strip().split(" | ") if part not in problem.message]
        assert not absent, problem.message
        assert str(problem).startswith(f"line {line}: " if line else problem.message)


def test_a_large_file_is_a_warning(judge, monkeypatch):
    monkeypatch.setattr(sys.modules["starter.submission.check"], "LARGE", 10)
    [problem] = judge(NUMBERED, "ID,Label\n0,0.5\n1,0.5\n2,0.25\n")
    assert (problem.code, problem.severity) == ("large", "warning")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "sample.csv").write_text(NUMBERED)
    [problem] = check(tmp_path, tmp_path / "sample.csv")
    assert problem.code == "file" and "directory" in problem.message


@pytest.mark.parametrize(
    "sample, place",
    [
        (None, "sample.csv: No such file"),
        ("", "sample.csv: the file is empty"),
        ("ID,Label\n", "sample.csv: the sample has a header but no rows"),
        ("ID,Label\n0,0\n1\n", "sample.csv, line 3: 1 fields"),
        ("ID,Label\n0,\xff\n", "sample.csv, line 2: not UTF-8"),
    ],
)
def test_a_wrong_sample_is_the_users_to_mend(tmp_path, sample, place):
    (tmp_path / "mine.csv").write_text("ID,Label\n0,0.5\n")
    if sample is not None:
        (tmp_path / "sample.csv").write_text(sample, encoding="latin-1")
    with pytest.raises(UserError) as error:
        check(tmp_path / "mine.csv", tmp_path / "sample.csv")
    assert place in str(error.value)


ALONE = {
    "right": ("ID,Label\n0,0.5\n1,n000317\n", None),
    "one column": ("garbage\nmore\n", "header"),
    "repeated": ("ID,Label\n0,0.5\n0,0.6\n", "duplicate-ids"),
    "no value": ("ID,Label\n0,0.5\n1,nan\n", "null"),
    "empty": ("ID,Label\n0,0.5\n1,\n", "null"),
    "infinite": ("ID,Label\n0,0.5\n1,inf\n", "infinite"),
    "ragged": ("ID,Label\n0,0.5\n1\n", "fields"),
    "no rows": ("ID,Label\n", "empty"),
}


@pytest.mark.parametrize("case", ALONE)
def test_without_a_sample_what_no_competition_takes(case, tmp_path):
    text, code = ALONE[case]
    path = tmp_path / "mine.csv"
    path.write_text(text)
    assert [problem.code for problem in check(path, None)] == ([code] if code else [])
