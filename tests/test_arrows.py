"""Which way the rooms may look, and what the doors may import before they must."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "recipe",
    "data",
    "models",
    "losses",
    "training",
    "verification",
    "submission",
    "kaggle",
    "report",
    "workflow",
    "door",
    "study",
)
LEAVES = ("data", "models", "losses", "verification", "submission", "kaggle")
ALLOWED = {
    "recipe": set(),
    **{room: {"recipe"} for room in LEAVES},
    "report": {"recipe", "verification"},
    "training": {"recipe", "data", "models", "losses", "verification"},
    "door": {"recipe"},
    "workflow": set(ROOMS),
    "study": set(ROOMS),
}
HEAVY = ("torch", "timm", "albumentations", "pandas", "torchvision", "sklearn")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
            if node.module == "starter":
                names = [f"starter.{alias.name}" for alias in node.names]
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
        found |= {n.split(".")[1] for n in names if n.startswith("starter.")}
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "starter").rglob("*.py")), ids=str)
def test_rooms_look_only_the_way_the_house_allows(path):
    room = path.relative_to(ROOT / "starter").parts[0].removesuffix(".py")
    if room == "__init__":
        return
    allowed = ALLOWED[room] | ({"workflow", "door"} if path.name == "__main__.py" else set())
    assert imported_rooms(path) - {room} <= allowed


@pytest.mark.parametrize("door", ["train.py", "verify.py", "submit.py"])
def test_doors_are_short_and_call_the_workflow(door):
    path = ROOT / door
    assert len(path.read_text().splitlines()) < 150
    assert imported_rooms(path) <= {"workflow", "recipe", "door"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--help"],
        ["verify.py", "--help"],
        ["submit.py", "--help"],
        ["train.py", "configs/demo.yaml", "--print-recipe"],
        ["train.py", "configs/demo.yaml", "trian.epochs=3"],
        ["submit.py", "no/such.csv"],
        ["submit.py", "ledger", "--ledger", "no/such.jsonl"],
        ["submit.py", "best", "--help"],
    ],
    ids=" ".join,
)
def test_quick_answers_import_nothing_heavy(arguments):
    code = (
        "import runpy, sys\n"
        f"sys.argv = {arguments!r}\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stdout + done.stderr
