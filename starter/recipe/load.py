"""A recipe file, overlays and overrides -> Recipe, and back."""

import copy
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from starter.errors import UserError, did_you_mean
from starter.recipe.merge import apply_override, lay_over, read_with_bases, stages_over_train
from starter.recipe.named import remember
from starter.recipe.own import anchored, is_own
from starter.recipe.problems import Problem, from_pydantic, place_of, unique
from starter.recipe.reader import COMMAND_LINE, SCALARS, Document, KeyPath
from starter.recipe.schema import Recipe


def load(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Reads a recipe with everything laid over it.

    Args:
        path: a YAML file; its `base:` files lie under it.
        changes: overlays (paths of YAML files) and `key.path=value`, laid over it in order.
    Returns:
        The resolved recipe, `train:` merged into every stage.
    Raises:
        UserError: every mistake at once, each with file:line:column, the line and a hint. A file
            that is not there or not YAML is told alone, in one line.
    """
    document = read_with_bases(Path(path))
    refused = []
    for change in changes:
        if _is_overlay(change):
            lay_over(document, read_with_bases(Path(change)))
            continue
        try:
            apply_override(document, change)
        except UserError as error:
            refused.append(str(error))
    _anchor_own(document.value, (), document)
    document = stages_over_train(document)
    problems, recipe = _check_stages(document), None
    try:
        recipe = Recipe.model_validate(document.value)
    except ValidationError as error:
        wrong = from_pydantic(error.errors(), document, Recipe)
        problems = wrong + _hidden(document, wrong) + problems
    texts = [*map(str, unique(problems)), *refused]
    if recipe is None or texts:
        raise UserError("\n".join(texts))
    remember(recipe, document)
    return recipe


def _anchor_own(value: Any, path: KeyPath, document: Document) -> None:
    """Own names whose file lies beside the recipe that names it hold from the current folder."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(item, dict | list):
            _anchor_own(item, (*path, key), document)
        elif isinstance(item, str) and is_own(item):
            place = place_of((*path, key), document)
            if place.source != COMMAND_LINE:
                value[key] = anchored(item, Path(place.source).parent)


def _is_overlay(change: str) -> bool:
    if os.path.isfile(change):  # unlike Path.is_file, no error for a list too long for a name
        return True
    return "=" not in change and Path(change).suffix.lower() in (".yaml", ".yml")


def _hidden(document: Document, wrong: list[Problem]) -> list[Problem]:
    """What does not fit together besides: pydantic compares the keys of a section only when each
    of them is right, so the wrong ones are left out and the rest is looked at again."""
    healed = copy.deepcopy(document.value)
    for path in {problem.path for problem in wrong}:
        section = healed
        for part in path[:-1]:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            return []  # inside a list, whose other items would not be the ones that were written
        section.pop(path[-1], None) if path else None
    try:
        Recipe.model_validate(healed)
    except ValidationError as error:
        misfits = [each for each in error.errors() if each["type"] == "value_error"]
        # A section above a wrong key may now lack what was left out: that is no news.
        above = {p.path[:i] for p in wrong for i in range(len(p.path))}
        return [p for p in from_pydantic(misfits, document, Recipe) if p.path not in above]
    return []


def _check_stages(document: Document) -> list[Problem]:
    """What is wrong between the stages, whatever else is: an `init:` that is no earlier stage and
    no path, a name that is a folder of the run, a `verify.stage` that is none of them. Values that
    are no text are left to the types."""
    stages, verify = document.value.get("stages"), document.value.get("verify")
    if not isinstance(stages, dict):
        return []
    mistakes: list[tuple[KeyPath, str]] = []
    if "verify" in stages:
        message = "the folder verify/ of a run is verify.py's; give the stage another name"
        mistakes.append((("stages", "verify"), message))
    earlier: list[str] = []
    for name, stage in stages.items():
        init = stage.get("init") if isinstance(stage, dict) else None
        if isinstance(init, str) and not {"/", "\\"} & set(init) and init not in earlier:
            known = f"earlier stages: {', '.join(earlier)}" if earlier else "this is the first"
            message = (
                f"no earlier stage, and no path of a run's stage{did_you_mean(init, earlier)} "
                f"({known}) (got {init!r})"
            )
            mistakes.append((("stages", name, "init"), message))
        earlier.append(name)
    chosen = verify.get("stage") if isinstance(verify, dict) else None
    if isinstance(chosen, str) and chosen not in stages:
        message = f"no stage{did_you_mean(chosen, stages)} (stages: {', '.join(stages)})"
        mistakes.append((("verify", "stage"), f"{message} (got {chosen!r})"))
    return [
        Problem(place_of(path, document, key=path[:-1] == ("stages",)), path, message)
        for path, message in mistakes
    ]


class _Dumper(yaml.SafeDumper):
    """Quotes text that the reader's YAML 1.2 or others' YAML 1.1 would take for a number."""


for _tag, _pattern, _first in SCALARS:
    _Dumper.add_implicit_resolver(_tag, _pattern, list(_first))


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML that `load` reads back to an equal one."""
    value = _kind_first(recipe.model_dump(mode="json"))
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )


def _kind_first(value: Any) -> Any:
    if isinstance(value, list):
        return [_kind_first(item) for item in value]
    if not isinstance(value, dict):
        return value
    order = sorted(value, key=lambda key: key != "kind")
    return {key: _kind_first(value[key]) for key in order}


def differences(old: Recipe | dict, new: Recipe | dict) -> list[str]:
    """What changed, a line a key: `stages.classify.optimizer.lr: 0.1 -> 0.2`.

    Args:
        old, new: recipes, or nested mappings of plain values (as read from JSON).
    """
    plain = [r.model_dump(mode="json") if isinstance(r, Recipe) else r for r in (old, new)]
    return _differences(plain[0], plain[1], "")


_ABSENT = object()


def _differences(old: Any, new: Any, path: str) -> list[str]:
    old, new = (list(v) if isinstance(v, tuple) else v for v in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        pairs = [(key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys]
    elif _sections(old) and _sections(new) and len(old) == len(new):
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        # As JSON, since 1 and 1.0 make different stage hashes.
        same = _json(old) == _json(new)
        return [] if same else [f"{path}: {_written(old)} -> {_written(new)}"]
    return [
        line
        for key, a, b in pairs
        for line in _differences(a, b, f"{path}.{key}" if path else str(key))
    ]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _sections(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _written(value: Any) -> str:
    """A value as the recipe writes it, on one line."""
    if value is _ABSENT:
        return "absent"
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
