"""Which way the rooms may look, and what the commands may import before they must."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import starter

ROOT = Path(__file__).resolve().parent.parent
GROUND = {"errors", "files", "distributed", "recipe"}
TRAINING = GROUND | {"data", "models", "losses", "metrics", "runs", "training"}
PAGE = TRAINING | {"inference", "submission", "report", "hooks", "train_stage"}
TOP = PAGE | {"kaggle", "stages", "propose", "package", "api", "study"}
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "distributed": {"errors"},
    "recipe": GROUND - {"recipe"},
    "data": GROUND,
    "models": GROUND,
    "losses": GROUND,
    "metrics": GROUND,
    "runs": GROUND,
    "training": TRAINING,
    "inference": TRAINING,
    "submission": {"errors", "files", "recipe", "runs", "metrics"},
    "kaggle": {"errors", "files", "recipe", "runs", "metrics", "submission"},
    "report": {"errors", "files", "recipe", "runs", "metrics"},
    "hooks": TRAINING | {"inference", "report"},
    "train_stage": PAGE - {"submission"},
    "stages": PAGE,
    "package": TOP,
    "propose": TOP,
    "api": TOP,
    "study": TOP,
    "cli": TOP,
}
# What still looks the wrong way. Shrink it; never add to it.
DEBTS: dict[str, set[str]] = {}
HEAVY = ("torch", "timm", "albumentations", "pandas", "torchvision", "sklearn")


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module of ours, whether inside a function) of every import that runs."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "starter":
                names = [f"starter.{alias.name}" for alias in node.names]
            found.extend((name, inside) for name in names)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text()), False)
    return [(name, inside) for name, inside in found if name.startswith("starter.")]


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "starter").parts[0].removesuffix(".py")


FILES = sorted((ROOT / "starter").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_rooms_look_only_the_way_the_house_allows(path):
    room = room_of(path)
    if room == "__init__":
        return
    allowed = MAY_IMPORT[room] | ({"cli", *TOP} if path.name == "__main__.py" else set())
    debts = DEBTS.get(path.relative_to(ROOT / "starter").as_posix(), set())
    assert {name.split(".")[1] for name, _ in imports(path)} - {room} - allowed - debts == set()


def test_no_two_files_import_each_other():
    """Nor do more of them in a ring."""
    parts = [(".".join(p.relative_to(ROOT).with_suffix("").parts), p) for p in FILES]
    names = {words.removesuffix(".__init__"): p for words, p in parts}
    graph = {n: modules(p, set(names)) - {n} for n, p in names.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the ring


def modules(path: Path, names: set[str]) -> set[str]:
    """Every module of ours that a file imports; a package's face imports its modules only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.add(module if module in names else node.module)
    return found & names


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_inside_functions_name_libraries_only(path):
    if path.name != "__main__.py":
        assert not [name for name, inside in imports(path) if inside]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_modules_and_functions_are_short(path):
    source = path.read_text()
    assert len(source.splitlines()) < 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name


@pytest.mark.parametrize("door", ["train.py", "verify.py", "submit.py"])
def test_doors_are_short(door):
    assert len((ROOT / door).read_text().splitlines()) < 150


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--help"],
        ["verify.py", "--help"],
        ["submit.py", "--help"],
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


def test_the_package_gives_its_two_verbs():
    from starter import api

    assert starter.train is api.train and starter.verify is api.verify
    with pytest.raises(AttributeError, match="nothing"):
        starter.nothing  # noqa: B018
