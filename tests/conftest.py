"""A tiny competition and recipe that the end-to-end tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

TINY = """\
name: tiny
seed: 1
runs: {folder}/runs
data:
  root: {demo}
  cache: {folder}/cache
  image_size: 16
  workers: 0
augment: [{{kind: HorizontalFlip, p: 0.5}}]
model: {{backbone: resnet10_small, embedding: 32, drop_path: 0.1}}
train:
  batch_size: 16
  precision: fp32
  ema: 0.9
stages:
  classify:
    epochs: 2
    loss: [{{kind: softmax, label_smoothing: 0.1}}]
    mix: {{mixup: 0.2}}
    schedule: {{warmup_epochs: 1}}
  finetune:
    init: classify
    epochs: 1
    sampler: {{kind: pk, images: 4}}
    loss: [{{kind: arcface, margin: 0.3}}, {{kind: triplet, weight: 0.3}}]
    optimizer: {{kind: sgd, lr: 0.01}}
verify: {{resamples: 20}}
submission: {{sample: sample_submission_combined.csv}}
"""


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory) -> Path:
    """A built-in competition of 8 identities, drawn once."""
    from starter.data.demo import make_demo

    root = tmp_path_factory.mktemp("competition") / "demo"
    make_demo(
        root,
        identities=8,
        verify_identities=8,
        images_per_identity=10,
        image_size=16,
        pairs=40,
        seed=3,
    )
    return root


@pytest.fixture
def tiny_recipe(tmp_path, demo_root) -> Path:
    """A recipe file of two short stages on that competition."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.format(folder=tmp_path.as_posix(), demo=demo_root.as_posix()))
    return path


@pytest.fixture
def command():
    """Runs a door as a user does; returns the finished process."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess:
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {})
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            **options,
        )

    return run
