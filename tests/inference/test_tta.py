"""Views against plain indexing and OpenCV, and their average against embedding each by itself."""

import cv2
import numpy as np
import pytest
import torch

from starter import models
from starter.inference.embed import MAKERS, EmbedOptions, embed, views
from starter.recipe.schema import Recipe
from starter.training.precision import Precision


def images(side=16):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_the_recipe_names_them():
    field = Recipe.model_fields["verify"].annotation.model_json_schema()["properties"]["tta"]
    assert set(field["items"]["enum"]) == {"hflip", *MAKERS}


def test_a_shift_moves_and_repeats_the_edge():
    image_BCHW = images(32)
    up, down, left, right = views(image_BCHW, ["shift"])[1:]
    assert torch.equal(up[:, :, :-2], image_BCHW[:, :, 2:])
    assert torch.equal(up[:, :, -1], image_BCHW[:, :, -1])
    assert torch.equal(down[:, :, 2:], image_BCHW[:, :, :-2])
    assert torch.equal(left[..., :-2], image_BCHW[..., 2:])
    assert torch.equal(right[..., 2:], image_BCHW[..., :-2])


@pytest.mark.parametrize(
    "name, starts", [("zoom", [(1, 1)]), ("corners", [(0, 0), (0, 2), (2, 0), (2, 2)])]
)
def test_crops_are_opencvs(name, starts):
    image_BCHW = images(16)
    found = views(image_BCHW, [name])[1:]
    assert len(found) == len(starts)
    for view_BCHW, (y, x) in zip(found, starts, strict=True):
        part_HWC = image_BCHW[0, :, y : y + 14, x : x + 14].permute(1, 2, 0).numpy()
        expected_HWC = cv2.resize(part_HWC, (16, 16), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(view_BCHW[0].permute(1, 2, 0), expected_HWC, atol=1e-5)


def test_height_and_width_are_each_moved_and_cropped_by_their_own():
    image_BCHW = images(32)[..., :16]
    up, _, left, _ = views(image_BCHW, ["shift"])[1:]
    assert torch.equal(up[:, :, :-2], image_BCHW[:, :, 2:])
    assert torch.equal(left[..., :-1], image_BCHW[..., 1:])
    for name, (y, x), number in (("zoom", (2, 1), 1), ("corners", (4, 2), 4)):
        view_BCHW = views(image_BCHW, [name])[number]
        part_HWC = image_BCHW[0, :, y : y + 28, x : x + 14].permute(1, 2, 0).numpy()
        expected_HWC = cv2.resize(part_HWC, (16, 32), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(view_BCHW[0].permute(1, 2, 0), expected_HWC, atol=1e-5)


def test_hflip_mirrors_every_view_whatever_the_order():
    image_BCHW = images()
    found = views(image_BCHW, ["hflip", "zoom", "shift"])
    assert len(found) == 12 and len(views(image_BCHW, [])) == 1
    half = len(found) // 2
    for plain, mirrored in zip(found[:half], found[half:], strict=True):
        assert torch.equal(plain.flip(3), mirrored)
    other_way = views(image_BCHW, ["shift", "zoom", "hflip"])
    assert all(torch.equal(a, b) for a, b in zip(found, other_way, strict=True))


def test_an_embedding_is_the_mean_of_its_views():
    contract = models.Preprocessing(
        image_size=16, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3, colour="RGB"
    )
    embedder = models.build(
        "resnet10_small", in_channels=3, image_size=16, embedding=8, preprocessing=contract
    ).eval()
    image_NHWC = (images().permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
    options = EmbedOptions(2, torch.device("cpu"), Precision("fp32", "cpu"), ("zoom", "hflip"))
    found = embed(embedder, image_NHWC, np.arange(2), options)
    with torch.no_grad():
        image_BCHW = embedder.prepare(torch.from_numpy(image_NHWC))
        zoomed = views(image_BCHW, ["zoom"])[1]
        parts = [embedder(v) for v in (image_BCHW, zoomed, image_BCHW.flip(3), zoomed.flip(3))]
    np.testing.assert_allclose(found, sum(parts) / 4, atol=1e-6)
