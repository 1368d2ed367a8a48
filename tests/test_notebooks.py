"""The notebooks, run top to bottom in a kernel of this interpreter, on the smoke recipe."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path):
    import nbformat

    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_and_no_secret_is_committed(path):
    import nbformat

    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    assert len(notebook.cells) <= 10
    assert 'RECIPE = "configs/smoke.yaml"' in notebook.cells[1].source


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_top_to_bottom(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = read(path)
    settings = notebook.cells[1]
    changes = [
        f"data.root={tmp_path}/data",
        f"data.cache={tmp_path}/cache",
        f"runs={tmp_path}/runs",
    ]
    assert "\nCHANGES = []" in settings.source
    settings.source = settings.source.replace("CHANGES = []", f"CHANGES = {changes!r}", 1)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    run = tmp_path / "runs" / "smoke"
    assert (run / "submission.csv").is_file() and (run / "report.html").is_file()
    last = notebook.cells[-1].outputs[-1]["data"]["text/plain"]
    assert "submission.csv" in last and "'ref'" not in last  # checked, and nothing was sent


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_platform_s_own_lines_are_python(path):
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), str(path), "exec")
