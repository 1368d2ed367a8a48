"""`python -m starter.recipe` writes configs/schema.json and docs/recipe.md from the schema."""

from pathlib import Path

from starter.recipe.describe import json_schema_text, key_tables

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> None:
    (ROOT / "configs" / "schema.json").write_text(json_schema_text(), encoding="utf-8")
    (ROOT / "docs" / "recipe.md").write_text(key_tables(), encoding="utf-8")


if __name__ == "__main__":
    main()
