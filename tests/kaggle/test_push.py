"""`python -m starter.kaggle` with the real client, and what runs there, run here."""

import io
import json
import zipfile
from functools import partial
from pathlib import Path

import pytest

from starter.kaggle import push as pushing
from starter.kaggle.__main__ import main
from starter.kaggle.push import kernel_of, slug_of
from tests.kaggle.conftest import refused
from tests.kaggle.stub import TOKEN, USER, answer, refusal

RECIPE = """\
name: My_run.2
data: {root: data/here}
stages: {classify: {epochs: 1, loss: [{kind: softmax}]}}
submission: {competition: stub-comp, sample: sample.csv}
"""
KERNEL, DATASET = f"{USER}/my-run-2-train", f"{USER}/my-run-2-kit"


class Kaggle:
    """Datasets and kernels of the stub, as far as a push needs them."""

    def __init__(self, stub):
        self.stub, self.blobs, self.datasets = stub, {}, {}
        self.kernels, self.state = [], {"status": "RUNNING"}
        self.states = ["BLOBS_RECEIVED", "READY"]
        stub.more = {
            "GetDatasetStatus": self.dataset_status,
            "StartBlobUpload": self.blob,
            "CreateDataset": lambda body: self.dataset(body["slug"], body, 1),
            "CreateDatasetVersion": lambda body: self.dataset(body["datasetSlug"], body["body"], 2),
            "SaveKernel": self.kernel,
            "GetKernelSessionStatus": lambda body: answer(**self.state),
        }

    def dataset_status(self, body):
        if body["datasetSlug"] not in self.datasets:
            return refusal(403, "Permission 'datasets.get' was denied")
        return answer(status=self.states[0] if len(self.states) == 1 else self.states.pop(0))

    def blob(self, body):
        token = f"blob{len(self.blobs)}"
        self.blobs[token] = body["name"]
        return answer(token=token, createUrl=f"{self.stub.url}/blob/{token}")

    def dataset(self, slug, body, version):
        [file] = body["files"]
        assert self.blobs[file["token"]] == "kit.zip"
        private = body.get("isPrivate", version > 1)
        self.datasets[slug] = {"zip": self.stub.uploads[file["token"]], "private": private}
        return answer(status="ok", ref=f"{USER}/{slug}")

    def kernel(self, body):
        self.kernels.append(body)
        return answer(versionNumber=len(self.kernels), url="https://www.kaggle.com/code/x", ref="x")

    def output(self, files: dict[str, bytes]):
        listed = []
        for i, (name, content) in enumerate(files.items()):
            self.stub.files[f"f{i}"] = content
            listed.append({"url": f"{self.stub.url}/f{i}", "fileName": name})
        self.stub.more["ListKernelSessionOutput"] = lambda _: answer(files=listed, log="a log")


@pytest.fixture
def there(in_process, monkeypatch):
    monkeypatch.setattr(pushing, "READY_WAIT", 0.01)
    return Kaggle(in_process)


@pytest.fixture
def ask(there, run_here, tmp_path):
    """The command in this process."""
    (tmp_path / "my.yaml").write_text(RECIPE)
    run = partial(run_here, main)
    run.recipe = str(tmp_path / "my.yaml")
    return run


def settings_of(text: str) -> dict:
    line = next(line for line in text.splitlines() if line.startswith("SETTINGS"))
    return eval(line.split("=", 1)[1])


def test_a_push_uploads_the_kit_and_starts_a_kernel(there, ask):
    done = ask("push", ask.recipe, "--attach", "someone/weights")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{KERNEL} version 1 is queued: https://www.kaggle.com/code/x\n"
    made = there.datasets["my-run-2-kit"]
    assert made["private"]
    with zipfile.ZipFile(io.BytesIO(made["zip"])) as kit:
        names = set(kit.namelist())
        assert {"train.py", "starter/kaggle/push.py", "recipe.yaml", "kit.sha256"} <= names
        assert not [name for name in names if name.startswith(("tests/", "runs/", ".git"))]
    [kernel] = there.kernels
    assert kernel["slug"] == KERNEL and kernel["newTitle"] == "my run 2 train"
    assert kernel["datasetDataSources"] == [DATASET, "someone/weights"]
    assert kernel["competitionDataSources"] == ["stub-comp"]
    assert kernel["machineShape"] == "NvidiaTeslaT4" and kernel["enableGpu"]
    assert kernel["isPrivate"] and not kernel.get("enableInternet")
    assert not kernel.get("kernelDataSources")
    settings = settings_of(kernel["text"])
    assert settings["run"] == "runs/My_run.2/recipe.yaml"
    assert settings["changes"] == ["train.max_hours=11.5"] and settings["processes"] == 2
    from starter.runs.provenance import commit

    assert settings["commit"] == commit()
    assert settings["sources"] == ["stub-comp", "someone/weights"]


def test_a_second_push_makes_a_version_and_continues(there, ask):
    assert ask("push", ask.recipe).returncode == 0
    done = ask(
        "push",
        ask.recipe,
        "data.root=/kaggle/input/x",
        "train.max_hours=2",
        "--continue",
        "--internet",
    )
    assert done.returncode == 0, done.stderr
    names = [name for name, *_ in there.stub.calls]
    assert names.count("CreateDataset") == names.count("CreateDatasetVersion") == 1
    kernel = there.kernels[1]
    assert kernel["kernelDataSources"] == [KERNEL] and kernel["enableInternet"]
    settings = settings_of(kernel["text"])
    assert settings["continue"] and settings["internet"]
    assert settings["changes"] == ["train.max_hours=2", "data.root=/kaggle/input/x"]


def test_the_kernel_waits_for_the_dataset(there, ask, monkeypatch):
    order = [name for name, *_ in there.stub.calls]
    assert ask("push", ask.recipe).returncode == 0
    order = [name for name, *_ in there.stub.calls]
    assert order.index("SaveKernel") == len(order) - 1 and there.states == ["READY"]
    monkeypatch.setattr(pushing, "READY_TIMEOUT", 0.05)
    there.states = ["BLOBS_RECEIVED"]
    refused(ask("push", ask.recipe), 8, f"{DATASET} is not ready", "push again")
    there.states = ["READY", "FAILED"]
    refused(ask("push", ask.recipe), 5, "could not unpack")
    assert len(there.kernels) == 1


def test_what_kaggle_refuses_is_told(there, ask):
    there.stub.more["SaveKernel"] = lambda _: answer(error="Maximum batch GPU session count of 2")
    refused(ask("push", ask.recipe), 5, "Maximum batch GPU session count of 2")
    there.stub.more["SaveKernel"] = lambda _: answer(versionNumber=1, invalidDatasetSources=["a/b"])
    refused(ask("push", ask.recipe), 5, "dataset_sources: a/b")
    there.stub.more["CreateDatasetVersion"] = lambda _: answer(status="error", error="Too large")
    refused(ask("push", ask.recipe), 5, "did not accept the dataset", "Too large")
    refused(ask("push", ask.recipe, "submission.competition=null"), 2, "--competition SLUG")
    refused(ask("push", ask.recipe, "--attach", "x"), 2, "give USER/DATASET")


def test_a_secret_is_not_pushed(there, ask, monkeypatch):
    text = Path(ask.recipe).read_text().replace("data/here", f"data/{TOKEN}")
    Path(ask.recipe).write_text(text)
    refused(ask("push", ask.recipe), 2, "recipe.yaml:", "look like a secret")
    assert not there.stub.calls


def test_status_is_kaggles(there, ask):
    assert ask("status", ask.recipe).stdout == f"{KERNEL}: RUNNING\n"
    there.state = {"status": "ERROR", "failureMessage": "Notebook Threw Exception"}
    assert ask("status", KERNEL).stdout == f"{KERNEL}: ERROR (Notebook Threw Exception)\n"
    there.stub.more["GetKernelSessionStatus"] = lambda _: refusal(403, "Permission denied")
    refused(ask("status", ask.recipe), 5, "Cannot access kernel")
    refused(ask("status", "nothing"), 2, "neither a recipe (.yaml) nor USER/SLUG")


def output(there, state="finished", **more: bytes) -> None:
    pulled = RECIPE.replace("data/here", "/kaggle/input/x").replace("sample.csv", "/kaggle/s.csv")
    status = {"name": "My_run.2", "state": state, "code": 0, "commit": "abc+"}
    there.output(
        {
            "status.json": json.dumps(status).encode(),
            "runs/My_run.2/recipe.yaml": pulled.encode(),
            "runs/My_run.2/environment.json": b'{"commit": null, "device": "T4"}',
            "runs/My_run.2/classify/metrics.jsonl": b"{}\n",
            **more,
        }
    )


def test_a_pull_brings_the_run_folder_with_the_places_of_here(there, ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output(there, "stopped early")
    done = ask("pull", ask.recipe)
    assert done.returncode == 0, done.stderr
    assert "runs/My_run.2: stopped early; next: python -m starter.kaggle push" in done.stdout
    run = tmp_path / "runs" / "My_run.2"
    assert (run / "classify" / "metrics.jsonl").read_bytes() == b"{}\n"
    assert (run / "kaggle.log").read_text() == "a log"
    from starter.recipe import load

    pulled = load(run / "recipe.yaml", [])
    assert (pulled.data.root, pulled.submission.sample) == ("data/here", "sample.csv")
    noted = json.loads((run / "environment.json").read_text())
    assert noted == {"commit": "abc+", "device": "T4"}
    (run / "old").write_text("")
    output(there)
    assert "next: python submit.py runs/My_run.2" in ask("pull", KERNEL).stdout
    assert not (run / "old").exists()  # its own earlier state is replaced
    (run / "kaggle_origin.json").unlink()
    refused(ask("pull", ask.recipe), 2, "was not trained by", "--force")
    assert ask("pull", ask.recipe, "--force").returncode == 0
    assert not list((tmp_path / "runs").glob(".pull*"))


def test_a_pull_of_something_else_changes_nothing(there, ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there.output({"other.txt": b"x"})
    refused(ask("pull", ask.recipe), 2, "no output of a push yet")
    name = json.dumps({"name": "../../x", "state": "finished"}).encode()
    there.output({"status.json": name})
    refused(ask("pull", ask.recipe), 2, "names no run folder")
    there.output({"../escape.txt": b"x"})
    refused(ask("pull", ask.recipe), 5, "Refusing to download")
    assert not list((tmp_path / "runs").iterdir())


def test_names_fit_kaggles_addresses():
    assert slug_of("a", "kit") == "a-kit" or len(slug_of("a", "kit")) >= 6
    assert len(slug_of("x" * 80, "train")) == 50 and kernel_of("u", "A b_c.D") == "u/a-b-c-d-train"
    assert slug_of("x" * 43 + "_y", "train") == "x" * 43 + "-train"
