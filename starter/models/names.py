"""Whose a backbone's name is: the kit's, timm's with a tag of its weights, or a user's own."""

import difflib

from starter.errors import UserError
from starter.models.external import PREFIX
from starter.models.families import NETWORKS
from starter.models.own import load_class
from starter.recipe.named import problem
from starter.recipe.own import is_own
from starter.recipe.problems import Problem
from starter.recipe.schema import ModelSection


def resolve(section: ModelSection) -> tuple[ModelSection, list[Problem]]:
    """The section as it is, and what is wrong with its backbone's name."""
    wrong = wrong_name(section.backbone)
    return section, [problem(section, "backbone", wrong)] if wrong else []


def wrong_name(name: str) -> str | None:
    """What is wrong with a backbone's name, with the nearest ones; None for a right one."""
    if is_own(name):
        try:
            load_class(name)
        except UserError as error:
            return str(error)
        return None
    if name in NETWORKS:
        return None
    import timm

    architecture, _, tag = name.partition(".")
    bare = architecture.removeprefix(PREFIX)
    if name.startswith(PREFIX) and timm.is_model(bare):
        known = not tag or name.removeprefix(PREFIX) in timm.list_pretrained(f"{bare}.*")
        return (
            None if known else f"timm {timm.__version__} has no weights {tag!r} of {PREFIX}{bare}"
        )
    if architecture in NETWORKS:
        return f"{architecture} has no weights to fetch; timm's networks have (got {name!r})"
    known_names = [*NETWORKS, *(f"{PREFIX}{model}" for model in timm.list_models())]
    close = difflib.get_close_matches(architecture, known_names, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else LISTER
    return f"no such backbone; {hint} (got {name!r})"


LISTER = (
    "`python -m starter.models` lists the kit's; timm's are timm/NAME, yours path/to/net.py:Class"
)
