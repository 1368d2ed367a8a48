"""What a recipe's stage is built into."""

import dataclasses

import numpy as np
import pytest
import torch

from starter.data import Catalog, Pairs
from starter.inference.embed import EmbedOptions
from starter.inference.evaluate import evaluate
from starter.recipe.schema import Recipe
from starter.runs.folder import StageFolder
from starter.stages.run import hash_of, inputs_of
from starter.training.build import build_batches, build_learner
from starter.training.precision import Precision
from starter.training.state import StageJob

SOFTMAX = [{"kind": "softmax"}]


def recipe(data=None, model=None, augment=(), **second) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "r",
            "data": {"root": "x", "image_size": 48, **(data or {})},
            "model": {"backbone": "resnet10_small", "embedding": 16, **(model or {})},
            "augment": list(augment),
            "train": {"batch_size": 4},
            "stages": {
                "one": {"loss": SOFTMAX, "batch_size": 4},
                "two": {"init": "one", "loss": SOFTMAX, "batch_size": 4, **second},
            },
        }
    )


@pytest.mark.parametrize("stem", ["auto", "7x7/2"])
@pytest.mark.parametrize("size", [16, 64])
def test_a_stage_of_another_size_takes_its_parents_weights(stem, size):
    """Of 16 and 64 pixels, `stem: auto` alone would build other first layers than of 48."""
    chosen = recipe(model={"stem": stem}, image_size=size)
    parent, child = build_learner(chosen, "one", 4, 48), build_learner(chosen, "two", 4, size)
    assert child.embedder.preprocessing.image_size == size
    child.embedder.load_state_dict(parent.embedder.state_dict())
    assert child.embedder.backbone.conv1.stride == parent.embedder.backbone.conv1.stride
    image = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    assert child.eval().embedder(child.embedder.prepare(image)).shape == (2, 16)


def test_channels_last_false_lays_out_weights_and_images_the_other_way():
    image = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    embs = []
    for name, wanted in (("one", torch.channels_last), ("two", torch.contiguous_format)):
        learner = build_learner(recipe(channels_last=False), name, 4, 48).eval()
        learner.load_state_dict(build_learner(recipe(), "one", 4, 48).state_dict())
        prepared = learner.embedder.prepare(image)
        assert prepared.is_contiguous(memory_format=wanted)
        weight = learner.embedder.backbone.layer1[0].conv1.weight
        assert weight.is_contiguous(memory_format=wanted)
        embs.append(learner.embedder(prepared))
    torch.testing.assert_close(embs[0], embs[1], rtol=1e-4, atol=1e-5)


def catalog(count=12, size=16) -> Catalog:
    rng = np.random.default_rng(0)
    return Catalog(
        root=None,
        names=[f"train/{i}" for i in range(count)],
        label_N=np.arange(count) % 4,
        split_N=np.where(np.arange(count) < 8, 0, 1).astype(np.uint8),
        classes=("a", "b", "c", "d"),
        pairs={},
        array_N=rng.integers(0, 256, (count, size, size), dtype=np.uint8),
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_is_tried_out_on_the_channels_of_the_data(channels, tmp_path):
    chosen = recipe({"channels": channels, "image_size": 16}, augment=[{"kind": "VerticalFlip"}])
    there = catalog()
    job = StageJob("one", StageFolder(tmp_path), chosen, there, None, torch.device("cpu"))
    image_NHWC = np.repeat(there.array_N[..., None], channels, axis=3)
    batches = build_batches(job, image_NHWC)
    assert batches._maker.augment.channels == channels
    for batch in batches.epoch(0):
        assert batch.image_BHWC.shape[1:] == (16, 16, channels)


@pytest.mark.parametrize("loss", [SOFTMAX, [{"kind": "triplet"}]], ids=["head", "class means"])
def test_evaluation_equals_the_plain_arithmetic(loss):
    """Accuracy and scores against one image at a time in float64 numpy."""
    from sklearn.metrics import roc_auc_score

    chosen = recipe({"channels": 1, "image_size": 16}, loss=loss, sampler={"kind": "pk"})
    rng = np.random.default_rng(1)
    pairs = Pairs(rng.integers(0, 12, 30), rng.integers(0, 12, 30), np.arange(30) % 2 == 0)
    there = dataclasses.replace(catalog(), pairs={"val": pairs})
    image_NHWC = there.array_N[..., None]
    learner = build_learner(chosen, "two", 4, 16).eval()
    options = EmbedOptions(5, torch.device("cpu"), Precision("fp32", "cpu"))
    found = evaluate(learner, there, image_NHWC, options)
    with torch.no_grad():
        emb_ND = np.concatenate(
            [
                learner.embedder(learner.embedder.prepare(torch.from_numpy(image[None].copy())))
                for image in image_NHWC
            ]
        ).astype(np.float64)
    unit_ND = emb_ND / np.linalg.norm(emb_ND, axis=1, keepdims=True)
    score_P = (unit_ND[pairs.a_P] * unit_ND[pairs.b_P]).sum(1)
    np.testing.assert_allclose(found.score_P, score_P, atol=1e-5)
    assert found.metrics["auc"] == pytest.approx(roc_auc_score(pairs.same_P, score_P), abs=1e-6)
    if loss is SOFTMAX:
        head = learner.objective.classifier
        logits_NK = emb_ND @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    else:
        means = np.stack([unit_ND[:8][there.label_N[:8] == k].mean(0) for k in range(4)])
        logits_NK = unit_ND @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    predicted_M = logits_NK[8:].argmax(1)
    assert found.predicted_M.tolist() == predicted_M.tolist()
    assert found.metrics["accuracy"] == (predicted_M == there.label_N[8:]).mean()


def hashed(chosen, stage="two", parent="0" * 64, fingerprint="data"):
    return hash_of(inputs_of(chosen, stage, fingerprint, parent))


def test_the_hash_counts_the_parents_weights_but_not_where_they_lie():
    here, moved = recipe(init="/a/runs/x/one"), recipe(init="/b/x/one")
    assert hashed(here) == hashed(moved)
    assert hashed(here) != hashed(here, parent="1" * 64)
    assert hashed(recipe()) != hashed(here)  # a stage of this run, or of another
    assert hashed(recipe()) != hashed(recipe(), parent="1" * 64)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"max_hours": 3.0}, True),
        ({"checkpoint_steps": 7}, True),
        ({"gate": False}, True),
        ({"image_size": 48}, True),  # what it is anyway
        ({"augment": []}, True),
        ({"image_size": 32}, False),
        ({"augment": [{"kind": "VerticalFlip"}]}, False),
        ({"epochs": 11}, False),
        ({"optimizer": {"kind": "sgd", "lr": 0.2}}, False),
        ({"ema": 0.9}, False),
        ({"freeze": {"batchnorm": True}}, False),
    ],
    ids=str,
)
def test_which_keys_of_a_stage_count(change, same):
    assert (hashed(recipe(**change)) == hashed(recipe())) == same


def test_which_other_keys_count():
    plain = recipe()
    for change in ({"runs": "elsewhere"}, {"name": "other"}, {"verify": {"tta": ["hflip"]}}):
        value = plain.model_dump(mode="json") | change
        assert hashed(Recipe.model_validate(value)) == hashed(plain)
    assert hashed(recipe({"root": "y", "workers": 2, "cache": "z"})) == hashed(plain)
    assert hashed(recipe({"mean": [0.4]})) != hashed(plain)
    assert hashed(plain, fingerprint="other") != hashed(plain)
    seeded = Recipe.model_validate(plain.model_dump(mode="json") | {"seed": 1})
    assert hashed(seeded) != hashed(plain)
