"""`python -m starter.recipe` writes configs/schema.json and docs/recipe.md, from the schema and the
classes that named sections stand for."""

from pathlib import Path

from starter.recipe.describe import json_schema_text, key_tables
from starter.training.resolve import KINDS

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> None:
    (ROOT / "configs" / "schema.json").write_text(json_schema_text(KINDS), encoding="utf-8")
    (ROOT / "docs" / "recipe.md").write_text(key_tables(KINDS), encoding="utf-8")


if __name__ == "__main__":
    main()
