"""YAML as YAML 1.2 reads it, the place of every key, and files that are no recipes."""

import math

import pytest

from starter.errors import UserError
from starter.recipe.reader import read_file, read_text

SCALARS = {
    "3e-4": 3e-4,
    "1.0e5": 1e5,
    "1E+2": 100.0,
    "5.0e-4": 5e-4,
    ".5": 0.5,
    "1.": 1.0,
    "-0.25": -0.25,
    "30_000_000": 30_000_000,
    "1_000.5": 1000.5,
    "010": 10,
    "0": 0,
    "-7": -7,
    "+7": 7,
    ".inf": math.inf,
    "-.inf": -math.inf,
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
    "yes": "yes",
    "no": "no",
    "on": "on",
    "off": "off",
    "True": "True",
    "y": "y",
    "0x1F": "0x1F",
    "1:30": "1:30",
    "2026-01-02": "2026-01-02",
    "_1": "_1",
    "1e": "1e",
    "e5": "e5",
    '"3e-4"': "3e-4",
    "'true'": "true",
    "v1.2.3": "v1.2.3",
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_are_those_of_yaml_1_2(text):
    value = read_text(f"key: {text}", "x").value["key"]
    assert value == SCALARS[text] and type(value) is type(SCALARS[text])


def test_not_a_number():
    assert math.isnan(read_text("a: .nan", "x").value["a"])


TEXT = """\
# a comment
name: word
data: {root: here, sizes: [10, 20]}
stages:
  one:
    loss:
      - kind: softmax
        weight: 2.5
      - {kind: triplet}
"""


def test_every_key_and_value_has_the_place_it_was_written_at():
    document = read_text(TEXT, "f.yaml")
    lines = TEXT.splitlines()
    written = {
        ("name",): ("name", "word"),
        ("data", "root"): ("root", "here"),
        ("stages", "one", "loss", 0, "weight"): ("weight", "2.5"),
        ("stages", "one", "loss", 1, "kind"): ("kind", "triplet"),
    }
    for path, (key, value) in written.items():
        for place, word in ((document.keys[path], key), (document.values[path], value)):
            assert lines[place.line - 1][place.column - 1 :].startswith(word)
            assert place.text == lines[place.line - 1] and place.source == "f.yaml"
    assert str(document.values["data", "sizes", 1]) == "f.yaml:3:32"


def test_an_alias_is_read_as_what_it_names():
    assert read_text("a: &x [1, 2]\nb: *x", "x").value == {"a": [1, 2], "b": [1, 2]}


BROKEN = {
    "": ("1:1", "empty"),
    "# only a comment\n": ("1:1", "empty"),
    "- a\n- b\n": ("1:1", "list"),
    "just words": ("1:1", "just words"),
    "a: [1": ("1:6", "not YAML"),
    "a:\n\tb: 1\n": ("2:1", "tab"),
    "a: 1\nb: 2\na: 3\n": ("3:1", "a: given twice (first on line 1)"),
    "a: {b: 1, c: 2, b: 3}\n": ("1:17", "a.b: given twice"),
    "a: *b": ("1:4", "undefined alias"),
    "a: &b [*b]": ("1:4", "alias inside its own anchor"),
    "1: a": ("1:1", "quotes"),
    "? [a]\n: 1": ("1:3", "a key is text"),
    "<<: {a: 1}": ("1:1", "base:"),
    "a: !!int b": ("1:4", "tag"),
    "a: !!python/object:os.system x": ("1:4", "tag"),
    "a: 1\n---\nb: 2\n": ("2:1", "another document"),
    "ok: 1\na: b\x07": ("2:5", "not allowed"),
    "a: b: c": ("1:5", "mapping values"),
}


@pytest.mark.parametrize("text", BROKEN, ids=repr)
def test_a_file_that_is_no_recipe_is_told_in_one_line_with_its_place(text, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    place, named = BROKEN[text]
    with pytest.raises(UserError) as error:
        read_file(path)
    message = str(error.value)
    assert message.startswith(f"{path.as_posix()}:{place}: ") and named in message
    assert "\n" not in message


def test_a_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes("name: x\ndata: café\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"r\.yaml:2:10: byte 0xe9 is not UTF-8"):
        read_file(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\nseed: 3\r\n")
    assert read_file(path).value == {"name": "x", "seed": 3}


def test_a_missing_file_names_those_one_may_have_meant(tmp_path):
    (tmp_path / "faces64.yaml").write_text("name: x")
    (tmp_path / "other.yaml").write_text("name: x")
    with pytest.raises(UserError, match=r"face64\.yaml: no such recipe; did you mean .*faces64"):
        read_file(tmp_path / "face64.yaml")
    with pytest.raises(UserError, match=r"zzz\.yml: no such recipe; there are .*faces64.*other"):
        read_file(tmp_path / "zzz.yml")
    with pytest.raises(UserError, match="no such recipe"):
        read_file(tmp_path / "no" / "such" / "folder.yaml")
    with pytest.raises(UserError, match="no such recipe"):
        read_file(tmp_path)
