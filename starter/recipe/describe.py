"""The schema for editors, and the page that explains every key: both written from the schema."""

import inspect
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from starter.recipe.schema import ModelSection, Recipe, RulesSection, base, data, train, verify

PAGES: list[tuple[str, type[BaseModel]]] = [
    ("top level", Recipe),
    ("data", data.DataSection),
    ("data.splits", data.SplitsSection),
    ("data.split", data.SplitSection),
    ("data.pairs", data.PairsSection),
    ("data.demo", data.DemoSection),
    ("augment[]", data.AugmentStep),
    ("model", ModelSection),
    ("rules", RulesSection),
    ("train, and each of stages", train.TrainSection),
    ("stages.NAME, besides", train.StageSection),
    ("mix", data.MixSection),
    ("sampler: kind shuffle", data.ShuffleSampler),
    ("sampler: kind pk", data.PKSampler),
    ("sampler: kind balanced", data.BalancedSampler),
    ("optimizer", train.OptimizerSection),
    ("optimizer.lr_scale", train.LearningRateScale),
    ("schedule", train.ScheduleSection),
    ("freeze", train.FreezeSection),
    ("loss[]", train.LossTerm),
    ("verify", verify.VerifySection),
    ("verify.threshold", verify.ThresholdSection),
    ("verify.transductive", verify.TransductiveSection),
    ("submission", verify.SubmissionSection),
]
# Of a named section, by the name of its class here: the options of every kind that the kit knows.
Kinds = Mapping[str, Mapping[str, type[BaseModel]]]


def json_schema_text(kinds: Kinds) -> str:
    """JSON Schema of a recipe file or overlay: any section may be partial, as a file under it may
    hold the rest; the items of a list may not, as a list replaces the one under it."""
    whole = Recipe.model_json_schema()
    for section, models in kinds.items():
        _add_kinds(whole["$defs"], section, models)
    _allow_partial(whole)
    whole["properties"]["base"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "recipes to lie under this one, relative to it",
    }
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


def _add_kinds(defs: dict, section: str, models: Mapping[str, type[BaseModel]]) -> None:
    """Replaces a named section's schema by that of each of its kinds, and of a user's own; a
    section with a default kind takes a library's too."""
    shared = defs[section]["properties"]
    open_kind: dict = {"type": "string", "pattern": r"\.py:"}
    required = {"required": ["kind"]}
    if "default" in shared["kind"]:
        open_kind, required = {"type": "string", "not": {"enum": list(models)}}, {}
    variants = []
    for kind, options in models.items():
        variant = options.model_json_schema(ref_template="#/$defs/{model}")
        defs.update(variant.pop("$defs", {}))
        variant["properties"] = {**shared, **variant.get("properties", {}), "kind": {"const": kind}}
        variant.pop("required", None)
        variants.append(variant | required)
    own = {"properties": shared | {"kind": open_kind}, **required}
    defs[section] = {"anyOf": [*variants, own]}


def _allow_partial(schema: dict) -> None:
    nodes = list(_mappings(schema))
    references = []
    for node in nodes:
        if isinstance(items := node.get("items"), dict):
            references += [items, *items.get("oneOf", [])]
    in_lists = {r["$ref"].rpartition("/")[2] for r in references if "$ref" in r}
    schema.pop("required")
    for name, section in schema["$defs"].items():
        if name not in in_lists:
            section.pop("required", None)
    for node in nodes:  # a section without its `kind` fits several kinds: `oneOf` would refuse it
        if "oneOf" in node:
            node["anyOf"] = node.pop("oneOf")
            node.pop("discriminator", None)  # requires `kind`


def _mappings(node: Any) -> Iterator[dict]:
    """Every mapping inside a value of JSON, itself first."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _mappings(child)


def key_tables(kinds: Kinds) -> str:
    """docs/recipe.md: a table a section, and one for each kind of a named section."""
    lines = [
        "# Every key of a recipe",
        "",
        "Written by `python -m starter.recipe` from `starter/recipe/schema`; do not edit.",
    ]
    pages = [
        page
        for title, section in PAGES
        for page in (
            (title, section),
            *((f"{title}: kind {k}", m) for k, m in kinds.get(section.__name__, {}).items()),
        )
    ]
    for title, section in pages:
        lines += ["", f"## {title}", "", inspect.cleandoc(section.__doc__ or ""), ""]
        rows = [
            row
            for name, row in _rows(section)
            if title != "stages.NAME, besides" or name not in train.TrainSection.model_fields
        ]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _rows(section: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        meaning = field.description or ""
        limits = _limits(field)
        meaning = f"{meaning} ({limits})" if limits else meaning
        row = f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {meaning.strip()} |"
        yield name, row


def _type(annotation: Any) -> str:
    words = []
    for option in base.options(annotation):
        origin = typing.get_origin(option)
        if isinstance(option, type) and issubclass(option, BaseModel):
            words.append("section")
        elif origin in (tuple, dict):
            words.append("list" if origin is tuple else "sections by name")
        elif option is type(None):
            words.append("null")
        elif isinstance(option, str):
            words.append(f"`{option}`")
        else:
            words.append(getattr(option, "__name__", str(option)))
    return ", ".join(dict.fromkeys(words))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "its defaults"
    return f"`{json.dumps(value)}`"


def _limits(field: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [
        f"{sign} {getattr(item, name):,}"
        for item in field.metadata
        for name, sign in signs.items()
        if getattr(item, name, None) is not None
    ]
    return ", ".join(limits)
