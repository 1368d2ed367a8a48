"""Writing a table: whole or not at all, and read back as it was."""

import csv

import pytest

from starter.errors import UserError
from starter.submission import Answers, Table, fill, write
from starter.submission.table import read_sheet

TABLE = Table(("ID", "Label"), [("Ünï ⊕.jpg", "3"), ('a,"b".jpg', "0.5"), ("007", "n000000")])


def left_over(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_bytes_of_a_table(tmp_path):
    write(TABLE, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (
        'ID,Label\nÜnï ⊕.jpg,3\n"a,""b"".jpg",0.5\n007,n000000\n'.encode()
    )
    assert left_over(tmp_path) == ["out.csv"]


def test_a_table_reads_back_as_it_was(tmp_path):
    write(TABLE, str(tmp_path / "out.csv"))
    sheet = read_sheet(tmp_path / "out.csv")
    assert (sheet.header, sheet.bom, sheet.line_R) == (["ID", "Label"], False, [2, 3, 4])
    assert [tuple(row) for row in sheet.rows] == TABLE.rows
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == sheet.rows


def test_lines_are_counted_over_fields_that_hold_line_ends(tmp_path):
    (tmp_path / "mine.csv").write_text('ID,Label\n"a\nb",1\n\nc,2\n')
    assert read_sheet(tmp_path / "mine.csv").line_R == [3, 5]


def test_a_file_is_replaced(tmp_path):
    old = "old, and much longer than what comes after it\n" * 100
    (tmp_path / "out.csv").write_text(old)
    with (tmp_path / "out.csv").open() as reader:
        write(TABLE, tmp_path / "out.csv")
        assert reader.read() == old  # never half of each: the name moved, the content did not
    assert len(read_sheet(tmp_path / "out.csv").rows) == 3
    assert left_over(tmp_path) == ["out.csv"]


class Breaks(Exception):
    pass


def rows_until(error: Exception):
    yield from [("a", "1")] * 100_000  # well past what is held back in memory
    raise error


class Rows(list):
    """Rows that end in an error, as a full disk would."""

    def __init__(self, error):
        self.error = error

    def __iter__(self):
        return rows_until(self.error)


@pytest.mark.parametrize(
    "error, raised, words",
    [
        (OSError(28, "No space left on device"), UserError, "out.csv: cannot be written: No space"),
        (Breaks("a fault of ours"), Breaks, "a fault of ours"),
    ],
)
def test_what_was_there_stays_when_writing_breaks(tmp_path, error, raised, words):
    table = Table(("ID", "Label"), Rows(error))
    with pytest.raises(raised, match=words):
        write(table, tmp_path / "out.csv")
    assert left_over(tmp_path) == []
    (tmp_path / "out.csv").write_text("precious")
    with pytest.raises(raised, match=words):
        write(table, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "precious"
    assert left_over(tmp_path) == ["out.csv"]


@pytest.mark.parametrize(
    "target, reason",
    [
        ("nowhere/out.csv", "No such file or directory"),
        ("file/out.csv", "Not a directory"),
        ("folder", "directory"),
        ("x" * 250, "name too long"),
    ],
    ids=["no folder", "a file as folder", "a folder", "a long name"],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path, target, reason):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as error:
        write(TABLE, tmp_path / target)
    assert reason in str(error.value) and str(tmp_path / target) in str(error.value)
    assert left_over(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "precious"


def test_a_name_that_is_not_utf8_is_the_users_to_mend(tmp_path):
    name = b"n\xe4.jpg".decode("utf-8", "surrogateescape")  # as the disk gives it
    with pytest.raises(UserError, match="as UTF-8"):
        write(Table(("ID", "Label"), [(name, "1")]), tmp_path / "out.csv")
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", '"'])
def test_a_submission_has_the_samples_quotes_and_line_ends(tmp_path, mark, end):
    def text(*rows):
        return "".join(",".join(f"{mark}{cell}{mark}" for cell in row) + end for row in rows)

    sample, out = tmp_path / "sample.csv", tmp_path / "out.csv"
    sample.write_bytes(text(("id", "label"), ("b.jpg", "x"), ("a.jpg", "x")).rstrip().encode())
    answers = Answers(["a.jpg", "b.jpg"], ["x", "y"], classes=("x", "y"))
    write(fill(sample, "classification", answers), out)
    assert out.read_bytes() == text(("id", "label"), ("b.jpg", "y"), ("a.jpg", "x")).encode()
