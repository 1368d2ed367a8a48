"""What `python -m benchmarks.backbones` says of a network that is right, and of one that is not."""

import json

import torch
from torch import nn

from benchmarks import backbones
from benchmarks.backbones import faults_of_a_step, images, main, make


def test_a_row_of_the_smallest_network(capsys):
    assert main(["cnn_64_256_64", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "cnn_64_256_64" and row["shapes"] == 6 and row["failed"] == []
    assert row["onnx_difference"] is None and row["compile_difference"] is None


def test_an_unknown_name_suggests_the_nearest(capsys):
    assert main(["resnt18"]) == 2
    assert "did you mean 'resnet18'" in capsys.readouterr().err


def test_a_parameter_without_a_gradient_and_a_step_to_nan_are_told():
    embedder = make("cnn_64_256_64", 1, 28)
    assert list(faults_of_a_step(embedder, images(4, 1, 28))) == []
    embedder.register_parameter("unused", nn.Parameter(torch.ones(3)))
    assert list(faults_of_a_step(embedder, images(4, 1, 28))) == ["no gradient reaches unused"]
    broken = make("cnn_64_256_64", 1, 28)
    nn.init.constant_(broken.neck[1].weight, float("inf"))
    assert "the update is not finite" in list(faults_of_a_step(broken, images(4, 1, 28)))


def test_a_different_output_and_an_error_fail_the_row():
    row = backbones.Row("cnn_64_256_64")
    difference, _ = backbones.timed(row, "same", lambda embedder, image: embedder(image))
    assert difference == 0 and row.failed == []
    difference, _ = backbones.timed(row, "other", lambda embedder, image: 1.01 * embedder(image))
    assert 0.009 < difference < 0.011 and row.failed == ["other differs by 1.0e-02"]
    row.failed.clear()

    def fails(embedder, image):
        raise RuntimeError("no such operator\nat length")

    assert backbones.timed(row, "ONNX", fails)[0] is None
    assert row.failed == ["ONNX: RuntimeError: no such operator"]
    assert backbones.line(row).endswith("failed: ONNX: RuntimeError: no such operator")
