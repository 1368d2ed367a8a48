"""Named sections: `kind` is a name that the kit knows, one of a library, or a user's own.

`load` checks that such a section is one and remembers where it was written. The room that owns the
name resolves it: it finds the class, and `fill` checks the other keys against that class's
signature and adds its defaults. What is wrong is told with the same file:line:column.
"""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from starter.errors import UserError, did_you_mean
from starter.recipe.own import is_own, load_own
from starter.recipe.problems import Problem, from_pydantic, place_of, unique
from starter.recipe.reader import Document, KeyPath, copy_places
from starter.recipe.schema.base import Named, Origin, Section

N = TypeVar("N", bound=Named)
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def remember(value: Any, document: Document, path: KeyPath = ()) -> None:
    """Tells every section of a validated model where it was written."""
    if isinstance(value, Section):
        value._origin = Origin(document, path)
        for name in type(value).model_fields:
            remember(getattr(value, name), document, (*path, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            remember(item, document, (*path, name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            remember(item, document, (*path, number))


def problem(section: Section, key: str | None, message: str) -> Problem:
    """A mistake at a key of a section (None: the section itself)."""
    origin = section._origin or Origin(Document({}), ())
    below = [] if key is None else [int(k) if k.isdigit() else k for k in key.split(".")]
    path = (*origin.path, *below)
    return Problem(place_of(path, origin.document), path, message)


def unknown(section: Named, what: str, known: Iterable[str], besides: str = "") -> Problem:
    """The mistake of a kind that nobody knows. besides: where else a name may come from."""
    hint = did_you_mean(section.kind, known) or (f"; {besides}" if besides else "")
    return problem(section, "kind", f"no such {what}{hint} (got {section.kind!r})")


def find(section: Named, what: str, known: Mapping[str, Any], besides: str = "") -> Any:
    """What a section's kind names, the kit's or a user's own; a Problem where nothing does."""
    if not is_own(section.kind):
        return known.get(section.kind) or unknown(section, what, known, besides)
    try:
        return load_own(section.kind)
    except UserError as error:
        return problem(section, "kind", str(error))


def fill(
    section: N, target: Callable, *, given: Collection[str] = (), typed: bool = True
) -> tuple[N, list[Problem]]:
    """The section with the target's defaults filled in, and what is wrong with it.

    Args:
        target: a class or function; its keyword arguments are the section's keys.
        given: arguments that the kit supplies, so that no recipe may.
        typed: whether its annotations are checked (the kit's own classes); a library's are
            often not true, so only its names are.
    """
    model = options_model(target, given=given, typed=typed)
    try:
        options = model.model_validate(section.options)
    except ValidationError as error:
        origin = section._origin or Origin(Document({"kind": section.kind}), ())
        own = Document(dict(section.options))  # the part of the document that is this section's
        copy_places(origin.document, origin.path, own, ())
        own.values.setdefault((), place_of(origin.path, origin.document))
        problems = from_pydantic(error.errors(), own, model)
        return section, [dataclasses.replace(p, path=(*origin.path, *p.path)) for p in problems]
    values = options.model_dump(mode="json") if typed else options.model_dump()
    # Lists, as the recipe would be written and read back.
    lists = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
    return section.with_options(lists), []


def options_model(
    target: Callable, *, given: Collection[str] = (), typed: bool = True
) -> type[BaseModel]:
    """A pydantic model of the target's arguments: strict, unknown keys refused. Its docstring is
    the target's."""
    fields: dict[str, Any] = {}
    config = STRICT
    for name, parameter in inspect.signature(target, eval_str=typed).parameters.items():
        if name in given or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            config = ConfigDict(**{**STRICT, "extra": "allow"})
            continue
        known = typed and parameter.annotation is not parameter.empty
        annotation = _loose(parameter.annotation) if known else Any
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (annotation, default)
    name = getattr(target, "__name__", "Options")
    return create_model(name, __config__=config, __doc__=target.__doc__, **fields)


def raise_all(problems: Iterable[Problem], texts: Iterable[str] = ()) -> None:
    """UserError with every mistake, in the order of the files; nothing where there is none."""
    lines = [*map(str, unique(list(problems))), *texts]
    if lines:
        raise UserError("\n".join(lines))


def _loose(annotation: Any) -> Any:
    """YAML has lists, so a tuple takes one."""
    if get_origin(annotation) is tuple or annotation is tuple:
        return Annotated[annotation, Field(strict=False)]
    return annotation
