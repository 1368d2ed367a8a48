"""YAML -> plain values with the place of every key, as YAML 1.2 reads scalars.

PyYAML is YAML 1.1: there 3e-4 is a string, `no` is False, 010 is 8, and a duplicate key silently
wins. Here numbers and booleans are YAML 1.2's, and a duplicate key is an error.
"""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from starter.errors import UserError

KeyPath = tuple[str | int, ...]
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Place:
    """Where something was written: a file's line and column (from 1), or the command line."""

    source: str
    line: int = 0
    column: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass
class Document:
    """Plain values, and the place of each key and value by its path."""

    value: Any
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's core scalars, and digits grouped with underscores."""


_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9][0-9_]*$")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$"
    r"|\.(?:nan|NaN|NAN)$"
)
_BOOL = re.compile(r"(?:true|false)$")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == _TAG + "null"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
SCALARS = (  # (tag, pattern, first characters); an integer is tried before a float
    (_TAG + "bool", _BOOL, "tf"),
    (_TAG + "int", _INT, "-+0123456789"),
    (_TAG + "float", _FLOAT, "-+.0123456789"),
)
for _tag, _pattern, _first in SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))


def _checked(pattern: re.Pattern[str], convert):
    """A constructor that holds an explicit tag (`!!int x`) to the same spelling."""

    def construct(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
        text = str(loader.construct_scalar(node))
        if not pattern.match(text):
            raise yaml.constructor.ConstructorError(
                None, None, f"{text!r} does not fit its tag", node.start_mark
            )
        return convert(text)

    return construct


def _float(text: str) -> float:
    text = text.replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor(_TAG + "int", _checked(_INT, lambda text: int(text.replace("_", ""))))
_Loader.add_constructor(_TAG + "float", _checked(_FLOAT, _float))
_Loader.add_constructor(_TAG + "bool", _checked(_BOOL, lambda text: text == "true"))


def read_file(path: Path) -> Document:
    """Reads a recipe file.

    Raises:
        UserError: no such file (naming those near it), not UTF-8, not YAML, a duplicate key,
            empty, or not a mapping; one line with file, line and column.
    """
    name = path.as_posix()
    if not path.is_file():
        raise UserError(f"{name}: no such recipe{_near(path)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        raise UserError(
            f"{name}:{len(before)}:{len(before[-1]) + 1}: byte 0x{data[error.start]:02x} is not "
            "UTF-8; save the file as UTF-8"
        ) from None
    document = read_text(text, name)
    if not isinstance(document.value, dict):
        content = "the file is empty" if document.value is None else f"not {_kind(document.value)}"
        raise UserError(f"{name}:1:1: a recipe is a mapping of keys to values; {content}")
    return document


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else f"{value!r:.60}"


def _near(path: Path) -> str:
    """The recipes one may have meant: similar names first, else all that are there."""
    folders = (path.parent, Path("configs"), Path("configs/untested"))
    there = [p for f in folders for p in sorted(f.glob("*.y*ml")) if p.is_file()]
    by_name = {p.stem: p.as_posix() for p in reversed(there)}
    close = difflib.get_close_matches(path.stem, by_name, n=3)
    if close:
        return f"; did you mean {' or '.join(by_name[stem] for stem in close)}?"
    listed = list(dict.fromkeys(p.as_posix() for p in there))[:8]
    return f"; there are {', '.join(listed)}" if listed else ""


def read_text(text: str, source: str) -> Document:
    """Parses YAML text; `source` names it in errors and places."""
    document = Document(None)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _walk(node, (), document, _Source(source, text.splitlines()), ())
                document.value = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise UserError(f"{place}: not YAML: {_explain(error)}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        raise UserError(
            f"{source}:{len(before)}:{len(before[-1]) + 1}: not YAML: the character "
            f"{chr(error.character)!r} is not allowed"
        ) from None
    return document


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "cannot be understood"
    if "'\\t'" in problem:
        return "a tab; use spaces"
    parts = [problem, f"({error.context})" if error.context and error.problem else ""]
    return " ".join(filter(None, parts))


@dataclass(frozen=True)
class _Source:
    name: str
    lines: list[str]

    def place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        text = self.lines[mark.line] if mark.line < len(self.lines) else ""
        return Place(self.name, mark.line + 1, mark.column + 1, text)


def _walk(
    node: yaml.Node, path: KeyPath, document: Document, source: _Source, above: tuple
) -> None:
    """Notes the place of everything below `node`; refuses keys that are twice or no text."""
    if node in above:
        raise UserError(f"{source.place(node)}: an alias inside its own anchor")
    above = (*above, node)
    document.values[path] = source.place(node)
    if isinstance(node, yaml.SequenceNode):
        for i, child in enumerate(node.value):
            _walk(child, (*path, i), document, source, above)
    elif isinstance(node, yaml.MappingNode):
        for key_node, child in node.value:
            key = (*path, _key(key_node, source))
            place = source.place(key_node)
            if key in document.keys:
                first = document.keys[key].line
                raise UserError(f"{place}: {dotted(key)}: given twice (first on line {first})")
            document.keys[key] = place
            _walk(child, key, document, source, above)


def _key(node: yaml.Node, source: _Source) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != _TAG + "str":
        written = f"; put {node.value!r} in quotes" if isinstance(node, yaml.ScalarNode) else ""
        raise UserError(f"{source.place(node)}: a key is text{written}")
    if node.value == "<<":
        raise UserError(f"{source.place(node)}: no merge keys (<<) here; use base: or train:")
    return node.value


def dotted(path: KeyPath) -> str:
    """A path as the command line writes it: stages.classify.loss.0.kind."""
    return ".".join(str(part) for part in path)


def forget(document: Document, path: KeyPath) -> None:
    """Drops the places of everything at a path and below it."""
    for places in (document.keys, document.values):
        for known in [p for p in places if p[: len(path)] == path]:
            del places[known]


def copy_places(source: Document, old: KeyPath, target: Document, new: KeyPath) -> None:
    """The places of everything at `old` and below it, as those at `new` of the target."""
    for places, into in ((source.keys, target.keys), (source.values, target.values)):
        below = {p: place for p, place in places.items() if p[: len(old)] == old}
        into.update({new + p[len(old) :]: place for p, place in below.items()})
