"""`python -m starter.workflow.names` writes the table of names that recipes are checked against."""

import json

from starter.recipe.names import (
    TABLE,
    installed_backbones,
    installed_torchvision,
    installed_transforms,
    installed_version,
)

PACKAGES = ("albumentations", "timm", "torchvision")


def current_table() -> dict:
    """What the installed packages and the kit know."""
    from starter.models import backbone_names

    return {
        "versions": {name: installed_version(name) for name in PACKAGES},
        "backbones": [name for name in backbone_names() if "/" not in name],
        "timm": installed_backbones(),
        "transforms": installed_transforms(),
        "torchvision": installed_torchvision(),
    }


def text_of(table: dict) -> str:
    """The table as JSON, a line a name, so that a new version reads as a short difference."""
    sections = []
    for section, names in table.items():
        items = names.items() if isinstance(names, dict) else None
        lines = (
            [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in items]
            if items is not None
            else [json.dumps(name) for name in names]
        )
        opening, closing = "{}" if items is not None else "[]"
        body = ",\n".join(f"  {line}" for line in lines)
        sections.append(f"{json.dumps(section)}: {opening}\n{body}\n{closing}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text_of(current_table()), encoding="utf-8")
