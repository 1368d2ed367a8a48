"""What the device takes over, what it refuses and in which words, and where auto goes."""

import logging

import numpy as np
import pytest
import torch

from starter.data.augment import choose
from starter.data.augment.plan import plan
from starter.errors import UserError
from starter.recipe import load

from .agree import picture, steps

FLIP = {"kind": "HorizontalFlip", "p": 0.5}


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"kind": "Blur"}, ["augment.1 (Blur)", "only HorizontalFlip"]),
        ({"kind": "OneOf", "transforms": [FLIP]}, ["augment.1 (OneOf)"]),
        ({"kind": "Affine", "fit_output": True}, ["augment.1 (Affine)", "fit_output=True"]),
        ({"kind": "Affine", "interpolation": 2}, ["interpolation=2", "interpolation=1 is"]),
        ({"kind": "Affine", "balanced_scale": True}, ["balanced_scale"]),
        ({"kind": "Affine", "border_mode": 3}, ["border_mode=3"]),
        ({"kind": "Perspective", "keep_size": False}, ["keep_size=False"]),
        ({"kind": "ToGray", "method": "max"}, ["method='max'"]),
        ({"kind": "CoarseDropout", "fill": "random"}, ["fill='random'"]),
        ({"kind": "CoarseDropout", "num_holes_range": [1, 99]}, ["num_holes_range"]),
        ({"kind": "GaussianBlur", "blur_limit": [3, 99]}, ["wider than the image"]),
        (
            {"kind": "Sequential", "p": 1, "transforms": [{"kind": "Pad", "padding": 2}, FLIP]},
            ["augment.1.transforms.0 (Pad)"],
        ),
        (
            {
                "kind": "Sequential",
                "transforms": [
                    {"kind": "Pad", "padding": 2},
                    {"kind": "RandomCrop", "height": 30, "width": 40},
                ],
            },
            ["augment.1 (Sequential)", "height=30"],
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_not_honoured_is_refused_by_name(described, words, caplog):
    with pytest.raises(UserError) as raised:
        choose("device", steps(FLIP, described), 40, 3, "cpu")
    for word in ["augment_on: device", "train.augment_on=cpu", *words]:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)
    with caplog.at_level(logging.INFO):
        assert choose("auto", steps(FLIP, described), 40, 3, "cuda") is None
    assert words[0] in caplog.text


def test_where_auto_goes():
    assert choose("auto", steps(FLIP), 40, 3, "cpu") is None
    assert choose("cpu", steps(FLIP), 40, 3, "cuda") is None
    assert choose("device", [], 40, 3, "cuda") is None
    for where, device in (("device", "cpu"), ("auto", "cuda")):
        if device == "cpu" or torch.cuda.is_available():
            assert choose(where, steps(FLIP), 40, 3, device) is not None


@pytest.mark.parametrize(
    "name", ["hw2p2", "faces64", "demo", "omniglot", "orl", "untested/cifar10"]
)
def test_the_kit_s_recipes_can_all_go_there(name):
    recipe = load(f"configs/{name}.yaml", ["data.root=x"])
    data = recipe.data
    augment = plan(recipe.augment, data.image_size, data.channels)
    size, channels = data.image_size, data.channels
    images = torch.from_numpy(np.stack([picture(size, channels, i) for i in range(6)]))
    made = augment.apply(images, augment.prepare(1, 0, np.arange(6)))
    assert made.shape == images.shape and made.dtype == torch.uint8 and made.is_contiguous()
    assert not torch.equal(made, images)


def test_an_image_does_not_depend_on_its_batch():
    recipe = load("configs/faces64.yaml", ["data.root=x"])
    augment = plan(recipe.augment, 64, 3)
    images = torch.from_numpy(np.stack([picture(64, 3, i) for i in range(12)]))
    before = images.clone()
    whole = augment.apply(images, augment.prepare(1, 4, np.arange(12)))
    parts = [
        augment.apply(images[i : i + 4], augment.prepare(1, 4, np.arange(i, i + 4)))
        for i in (0, 4, 8)
    ]
    assert torch.equal(whole, torch.cat(parts)) and torch.equal(images, before)
    assert not torch.equal(whole, augment.apply(images, augment.prepare(1, 5, np.arange(12))))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_same_images():
    recipe = load("configs/faces64.yaml", ["data.root=x"])
    images = torch.from_numpy(np.stack([picture(64, 3, i) for i in range(32)]))
    here, there = plan(recipe.augment, 64, 3), plan(recipe.augment, 64, 3, pin_memory=True)
    made = here.apply(images, here.prepare(1, 0, np.arange(32)))
    on_gpu = there.apply(images.cuda(), there.prepare(1, 0, np.arange(32)))
    found = (made.int() - on_gpu.cpu().int()).abs()
    assert on_gpu.is_cuda and (found > 1).float().mean() < 0.01
