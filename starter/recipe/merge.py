"""Laying one document over another, and single keys over both."""

import copy
import itertools
import os
from pathlib import Path
from typing import Any

from starter.errors import UserError, did_you_mean
from starter.recipe.reader import (
    COMMAND_LINE,
    Document,
    KeyPath,
    Place,
    copy_places,
    dotted,
    forget,
    read_file,
    read_text,
)
from starter.recipe.schema.train import OptimizerSection

# A section without `kind` is of this one: in `train`, and where a stage's keys are laid over it.
IMPLIED_KIND: dict[KeyPath, str] = {
    ("train", "optimizer"): OptimizerSection().kind,
    ("optimizer",): OptimizerSection().kind,
}
# Two ways to say one thing: whichever is laid over the other replaces it.
IN_PLACE_OF = {"epochs": "minutes", "minutes": "epochs"}


def read_with_bases(path: Path, above: tuple[Path, ...] = ()) -> Document:
    """Reads a file over the files its `base:` names (relative to it), to any depth.

    Raises:
        UserError: a base that is missing, is no path, or leads back to itself.
    """
    document = read_file(path)
    place = document.values.get(("base",))
    bases = document.value.pop("base", [])
    forget(document, ("base",))
    chain = (*above, path.resolve())
    result = Document({})
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f"{place}: base: a path or a list of paths (got {base!r})")
        target = path.parent / base
        if target.resolve() in chain:
            names = [p.name for p in (*chain[chain.index(target.resolve()) :], target)]
            raise UserError(f"{place}: base: {base} leads back to itself: {' -> '.join(names)}")
        if not target.is_file():
            near = did_you_mean(
                base,
                [
                    os.path.relpath(p, path.parent).replace(os.sep, "/")
                    for p in target.parent.glob("*.y*ml")
                ],
            )
            raise UserError(f"{place}: base: no file {target.as_posix()}{near}")
        shown = Path(os.path.normpath(target))
        lay_over(result, read_with_bases(shown, chain))
    lay_over(result, document)
    result.values[()] = Place(path.as_posix())
    return result


def lay_over(under: Document, over: Document) -> None:
    """Merges `over` into `under`: mappings merge to any depth; a list, or a section whose `kind`
    changes, replaces the old one, as minutes does epochs. The places of what is replaced go with
    it."""
    _merge(under.value, over.value, (), under, over)


def _merge(old: dict, new: dict, path: KeyPath, under: Document, over: Document) -> None:
    for key, value in new.items():
        here = (*path, key)
        before = old.get(key)
        other = IN_PLACE_OF.get(key, key)
        if other != key and other in old and other not in new and value is not None:
            forget(under, (*path, other))
            del old[other]
        if (
            isinstance(value, dict)
            and isinstance(before, dict)
            and not _kind_differs(before, value, here)
        ):
            for places, fresh in ((under.keys, over.keys), (under.values, over.values)):
                places.update({here: fresh[here]} if here in fresh else {})
            _merge(before, value, here, under, over)
        else:
            forget(under, here)
            old[key] = copy.deepcopy(value)
            copy_places(over, here, under, here)


def _kind_differs(old: dict, new: dict, path: KeyPath) -> bool:
    kind = old.get("kind", IMPLIED_KIND.get(path))
    return kind is not None and "kind" in new and kind != new["kind"]


def apply_override(document: Document, text: str) -> None:
    """Sets one key from `key.path=value`; the value is YAML, a list's items go by number.

    A section whose `kind` is set to another one loses its other keys, as they were the old
    kind's; keys that the command line itself set before stay.

    Raises:
        UserError: no `=`, a value that is not YAML, a path past a list's end or through a plain
            value, a stage that does not exist.
    """
    name, equals, written = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise UserError(f"{COMMAND_LINE}: {text!r} is neither a YAML file nor key.path=value")
    value = read_text(written, f"{COMMAND_LINE}: {name}").value
    here, parts = document.value, name.split(".")
    at: KeyPath = ()
    for part, following in itertools.pairwise(parts):
        key = _step(here, at, part, name)
        if isinstance(here, dict) and here.get(key) is None:
            _check_stage(here, (*at, key), name)
            _open(document, here, (*at, key), following, name)
        here, at = here[key], (*at, key)
    key = _step(here, at, parts[-1], name)
    at = (*at, key)
    if key == "kind" and isinstance(here, dict) and _kind_differs(here, {"kind": value}, at[:-1]):
        _drop_old_kind(document, here, at[:-1])
    beside = (*at[:-1], IN_PLACE_OF.get(str(key), key))
    stated = beside != at and beside[-1] in here and value is not None
    if stated and document.values.get(beside) != Place(COMMAND_LINE):
        forget(document, beside)
        del here[beside[-1]]
    forget(document, at)
    here[key] = value
    document.keys[at] = document.values[at] = Place(COMMAND_LINE)


def _step(here: Any, at: KeyPath, part: str, name: str) -> str | int:
    """`part` as a key of `here`: a mapping's key or a list's number."""
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise UserError(f"{COMMAND_LINE}: {name}: {dotted(at)} is {here!r}, not a section")
    if not part.isdecimal() or int(part) >= len(here):
        numbers = f"has items 0 to {len(here) - 1}" if here else "is empty"
        raise UserError(
            f"{COMMAND_LINE}: {name}: the list {dotted(at)} {numbers}, there is no {part!r}"
        )
    return int(part)


def _check_stage(stages: dict, at: KeyPath, name: str) -> None:
    """A setting for a stage that is not there is a slip: a stage cannot live on one key."""
    if len(at) == 2 and at[0] == "stages" and at[1] not in stages:
        raise UserError(
            f"{COMMAND_LINE}: {name}: no stage {at[1]!r}{did_you_mean(at[1], stages)} "
            f"(stages: {', '.join(stages) or 'none'})"
        )


def _open(document: Document, here: dict, at: KeyPath, following: str, name: str) -> None:
    """Makes room below `at` for the part `following`: a new section, or a stage's own copy of a
    list that `train` gives."""
    inherited = None
    if len(at) > 2 and at[0] == "stages":
        inherited = _at(document.value, ("train", *at[2:]))
    if isinstance(inherited, list):
        here[at[-1]] = copy.deepcopy(inherited)
        copy_places(document, ("train", *at[2:]), document, at)
    elif following.isdecimal():
        raise UserError(f"{COMMAND_LINE}: {name}: there is no list {dotted(at)}")
    else:
        here[at[-1]] = {}
        document.keys[at] = document.values[at] = Place(COMMAND_LINE)


def _drop_old_kind(document: Document, section: dict, at: KeyPath) -> None:
    for other in [k for k in section if k != "kind"]:
        if document.values.get((*at, other)) != Place(COMMAND_LINE):
            forget(document, (*at, other))
            del section[other]


def stages_over_train(document: Document) -> Document:
    """A copy in which every stage holds `train:`'s keys under its own.

    Places come along, so that a mistake in `train` is found where it was written.
    """
    result = Document(copy.deepcopy(document.value), dict(document.keys), dict(document.values))
    train, stages = document.value.get("train"), document.value.get("stages")
    if not isinstance(train, dict) or not isinstance(stages, dict):
        return result
    for name, stage in stages.items():
        if not isinstance(stage, dict | None):
            continue
        at: KeyPath = ("stages", name)
        merged = Document(copy.deepcopy(train))
        copy_places(document, ("train",), merged, ())
        over = Document(stage or {})
        copy_places(document, at, over, ())
        lay_over(merged, over)
        merged.keys.pop((), None)
        merged.values.pop((), None)
        for places in (result.keys, result.values):
            for known in [p for p in places if len(p) > 2 and p[:2] == at]:
                del places[known]
        result.value["stages"][name] = merged.value
        copy_places(merged, (), result, at)
    return result


def _at(value: Any, path: KeyPath) -> Any:
    """What is at `path`, None when nothing is."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
