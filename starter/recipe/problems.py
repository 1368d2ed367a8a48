"""From pydantic's errors to lines with a place, the offending line, and did-you-mean."""

import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from starter.errors import did_you_mean
from starter.recipe.reader import COMMAND_LINE, Document, KeyPath, Place, dotted
from starter.recipe.schema.base import Misfit, description_at, homes_of, keys_at, kinds_at


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is written, which key, and what is wrong."""

    place: Place
    path: KeyPath
    message: str

    def __str__(self) -> str:
        key = f"{dotted(self.path)}: " if self.path else ""
        head = f"{self.place}: {key}{self.message}"
        if not self.place.text.strip():
            return head
        # A tab stays a tab, so that the caret stands under its character.
        indent = re.sub(r"[^\t]", " ", self.place.text[: self.place.column - 1])
        return f"{head}\n    {self.place.text}\n    {indent}^"


def from_pydantic(errors: list, document: Document, model: type[BaseModel]) -> list[Problem]:
    """Every mistake once; the branches of a union as one message."""
    problems = []
    branches: dict[tuple[KeyPath, Place], list[str]] = {}
    for error in errors:
        if error["type"] == "too_short" and error["input"]:
            continue  # its items are wrong, which is said of them
        at, missing = _written_path(error, document)
        mistakes = _mistakes(error, at, missing, document, model)
        for path, message, at_key in mistakes:
            place = place_of(path, document, key=at_key)
            if error["type"] == "value_error":
                problems.append(Problem(place, path, message))
            else:
                branches.setdefault((path, place), []).append(message)
    return problems + [
        Problem(place, path, _joined(messages)) for (path, place), messages in branches.items()
    ]


def _joined(messages: list[str]) -> str:
    """Branches of a union end with the same `(got ...)`, which is said once, at the end."""
    messages = list(dict.fromkeys(messages))
    ends = {re.search(r"( \(got .*\))?$", message, re.DOTALL).group() for message in messages}  # type: ignore[union-attr]
    if len(messages) == 1 or len(ends) != 1:
        return "; or ".join(messages)
    end = ends.pop()
    return "; or ".join(message.removesuffix(end) for message in messages) + end


def unique(problems: list[Problem]) -> list[Problem]:
    """In the order of the files, the command line last. A mistake in `train` is every stage's
    too: it is told once, as train's."""
    in_train = {(p.place, p.path[1:]) for p in problems if p.path[:1] == ("train",)}
    kept: dict[Problem, None] = {}
    for problem in problems:
        if problem.path[:1] != ("stages",) or (problem.place, problem.path[2:]) not in in_train:
            kept[problem] = None
    return sorted(
        kept,
        key=lambda p: (
            p.place.source == COMMAND_LINE,
            p.place.source,
            p.place.line,
            p.place.column,
        ),
    )


def place_of(path: KeyPath, document: Document, *, key: bool = False) -> Place:
    """Where the value (or its key) is written; the nearest section above when it is not."""
    if key and path in document.keys:
        return document.keys[path]
    while path not in document.values and path:
        path = path[:-1]
        if path in document.keys:
            return document.keys[path]
    return document.values.get(path, Place("recipe"))


def _written_path(error: dict, document: Document) -> tuple[KeyPath, bool]:
    """The error's path without the tags of unions, which nobody wrote, and whether its end is
    a key that is missing."""
    value: Any = document.value
    path: KeyPath = ()
    parts = error["loc"]
    for i, part in enumerate(parts):
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value, path = value[part], (*path, part)
        elif error["type"] == "missing" and i == len(parts) - 1:
            return (*path, part), True
    return path, False


def _mistakes(
    error: dict, path: KeyPath, missing: bool, document: Document, model: type[BaseModel]
) -> list[tuple[KeyPath, str, bool]]:
    """(path, message, whether the key rather than the value is at fault) of one error."""
    kind, got = error["type"], error.get("input")
    if kind == "extra_forbidden":
        return [(path, _unknown_key(path, got, document, model), True)]
    if missing:
        meaning = description_at(model, path, document.value)
        return [(path, f"is required{f': {meaning}' if meaning else ''}", True)]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return [_wrong_kind(error, path, kinds_at(model, path, document.value))]
    if kind == "value_error":
        cause = error["ctx"]["error"]
        if isinstance(cause, Misfit):
            return [((*path, *below), message, not below) for below, message in cause.mistakes]
        return [(path, error["msg"].removeprefix("Value error, "), True)]
    if isinstance(error["loc"][-1], str) and error["loc"][-1] == "[key]":
        return [(path, f"this name may not be used: {NAME_RULE}", True)]
    hint = ""
    if kind == "literal_error":
        hint = did_you_mean(got, re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    return [(path, f"{_plain(error)}{hint} (got {_short(got)})", False)]


# Keys that recipes had, and what to do instead.
GONE = {"augment_on": "images are augmented on the CPU; leave it out"}
NAME_RULE = "letters, digits, _ and -, a letter or digit first"
PLAIN = {
    "model_type": "should be a section of keys",
    "dict_type": "should be a section of keys",
    "tuple_type": "should be a list",
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "finite_number": "should be a finite number",
    "string_pattern_mismatch": "should be letters, digits, . _ - only, a letter or digit first",
}


def _plain(error: dict) -> str:
    """The message without Python's words: input, tuple, dictionary, validation."""
    if error["type"] in PLAIN:
        return PLAIN[error["type"]]
    message = error["msg"].removeprefix("Input ").replace(" after validation", "")
    return message.replace("Tuple should", "should").replace("Dictionary should", "should")


def _unknown_key(path: KeyPath, got: object, document: Document, model: type[BaseModel]) -> str:
    if path[-1] in GONE:
        return f"is no longer a key: {GONE[str(path[-1])]} (got {_short(got)})"
    known = keys_at(model, path[:-1], document.value)
    hint = did_you_mean(path[-1], known)
    if not hint:
        homes = homes_of(path[-1], model)
        hint = f"; it is a key of {' and '.join(homes)}" if homes else ""
    hint = hint or f"; known here: {', '.join(known)}"
    return f"unknown key{hint} (got {_short(got)})"


def _wrong_kind(error: dict, path: KeyPath, kinds: list[str]) -> tuple[KeyPath, str, bool]:
    if error["type"] == "union_tag_not_found":
        return path, f"needs a kind: {' or '.join(kinds)} (got {_short(error['input'])})", False
    tag = error["ctx"]["tag"]
    message = f"should be {' or '.join(kinds)}{did_you_mean(tag, kinds)} (got {tag!r})"
    return (*path, "kind"), message, False


def _short(value: object) -> str:
    """As YAML has it, cut to 60 characters."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
