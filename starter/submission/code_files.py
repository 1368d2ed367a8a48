"""The kit's own code as files to pack: for a hand-in, or for Kaggle's machines."""

from pathlib import Path

from starter.errors import UserError
from starter.recipe.schema import Recipe
from starter.runs.provenance import ROOT
from starter.submission.ids import first_five
from starter.submission.secrets import known_secrets, secrets_in

PARTS = (
    "train.py",
    "verify.py",
    "submit.py",
    "starter",
    "requirements.txt",
    "constraints.txt",
    "pyproject.toml",
    "LICENSE",
)
TEXT = {".py", ".json", ".txt", ".toml", ".md", ".yaml", ".yml", ""}
LARGEST = 2 * 2**20  # bytes of a file of code; the largest of the kit is 100 kB


def code_files(root: Path = ROOT) -> dict[str, bytes]:
    """Path below the checkout -> content. UserError when there is data among the code."""
    paths = []
    for part in PARTS:
        place = root / part
        paths += sorted(place.rglob("*")) if place.is_dir() else [place]
    files: dict[str, bytes] = {}
    data = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        if not path.is_file() or "__pycache__" in name or path.suffix == ".pyc":
            continue
        if path.suffix.lower() not in TEXT or path.stat().st_size > LARGEST:
            data.append(name)
            continue
        files[name] = path.read_bytes()
    if data:
        raise UserError(
            f"{len(data)} files beside the code are no code: {first_five(data)}; data is not "
            "packed: move them out of starter/"
        )
    return files


def own_network(recipe: Recipe) -> dict[str, bytes]:
    """The file of a network of the user's own (`model.backbone: path/to/net.py:Class`), by the
    path that the recipe gives where that leads below the working folder, else by its name."""
    given = recipe.model.backbone.rsplit(":", 1)[0]
    if not given.endswith(".py"):
        return {}
    path = Path(given)
    if not path.is_file():
        raise UserError(f"model.backbone: {path} is not there")
    inside = not path.is_absolute() and ".." not in path.parts
    return {path.as_posix() if inside else path.name: path.read_bytes()}


def refuse_secrets(files: dict[str, bytes]) -> None:
    """UserError naming every place where a file holds a secret, never the secret."""
    known = known_secrets()
    found = [place for name, content in files.items() for place in secrets_in(name, content, known)]
    if found:
        raise UserError(
            f"nothing was packed: {len(found)} places look like a secret: {first_five(found)}; "
            "take it out (and renew it if it was ever shared)"
        )
