"""A run whose photos are no squares: what it was trained on is what it is asked with."""

import json

import cv2
import numpy as np
import pytest

from starter.api import train, verify, verify_pair
from starter.data import load_catalog
from starter.data.decode import fit, read_image
from starter.errors import UserError
from starter.inference.open_stage import open_stage
from starter.recipe import load
from starter.runs.folder import RunFolder
from starter.runs.records import Contract, Meta
from tests.data.trees import picture

pytestmark = pytest.mark.slow

RECIPE = """\
name: people
runs: {folder}/runs
data:
  layout: folders
  root: {folder}/set
  cache: {folder}/cache
  image_size: {size}
  fit: {how}
  channels: 1
  workers: 0
  pairs: {{count: 20, hold_out: 2}}
augment: [{{kind: HorizontalFlip, p: 0.5}}]
model: {{backbone: resnet10_small, embedding: 16}}
train: {{batch_size: 16, precision: fp32}}
stages: {{classify: {{epochs: 2, loss: [{{kind: softmax}}]}}}}
verify: {{resamples: 20, tta: [hflip, shift, zoom, corners]}}
"""


@pytest.fixture(scope="module", params=[("pad", 16), ("crop", [32, 16])], ids=["pad", "crop"])
def trained(tmp_path_factory, request):
    """The recipe file of a trained run of photos 36 high and 20 wide, and its folder."""
    (how, size), folder = request.param, tmp_path_factory.mktemp("people")
    for k in range(48):
        path = folder / "set" / f"p{k % 6}" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(
            str(path), picture(k % 6, (36, 20, 3)) // 2 + picture(k, (36, 20, 3)) // 2
        )
    (folder / "people.yaml").write_text(RECIPE.format(folder=folder.as_posix(), how=how, size=size))
    train(load(folder / "people.yaml"))
    verify(folder / "runs" / "people")
    return folder / "people.yaml", folder / "runs" / "people"


def opened(trained):
    recipe = load(trained[0])
    catalog = load_catalog(recipe.data)
    return recipe, catalog, open_stage(RunFolder(trained[1]), recipe, "classify", catalog)


def test_the_choice_is_kept_with_the_weights_and_packs_and_files_are_fitted_alike(trained):
    recipe, catalog, stage = opened(trained)
    size, how = recipe.data.image_size, recipe.data.fit
    for kept in (stage.checkpoint.meta.preprocessing, stage.learner.embedder.preprocessing):
        assert (kept.image_size, kept.fit) == (size, how)
    pack_NHWC, paths = stage.pack(recipe, catalog), [catalog.path(i) for i in range(3)]
    for i, path in enumerate(paths):
        assert np.array_equal(pack_NHWC[i], fit(read_image(path), size, 1, how))
    if how == "pad":
        assert (pack_NHWC[:, :, :3] == 0).all()  # black beside a photo 9 pixels wide
    packed_UD = stage.embed(pack_NHWC, np.arange(3))
    np.testing.assert_allclose(stage.embed_files(paths), packed_UD, atol=1e-6)


def test_a_pair_is_fitted_as_in_training(trained):
    recipe, catalog, stage = opened(trained)
    a, b = catalog.path(0), catalog.path(9)
    images = [fit(read_image(p), recipe.data.image_size, 1, recipe.data.fit) for p in (a, b)]
    emb_2D = stage.embed(np.stack(images), np.arange(2))
    cosine = emb_2D[0] @ emb_2D[1] / np.prod(np.linalg.norm(emb_2D, axis=1))
    assert verify_pair(trained[1], a, b).score == pytest.approx(cosine, abs=1e-5)


def test_another_fit_is_another_stage_and_is_refused(trained):
    with pytest.raises(UserError, match=r"trained with other settings:\n  data\.fit: "):
        train(load(trained[0], ["data.fit=squash"]))


def test_the_same_command_finds_it_finished(trained):
    before = (trained[1] / "summary.json").read_bytes()
    train(load(trained[0]))
    assert (trained[1] / "summary.json").read_bytes() == before


def test_a_run_from_before_there_was_a_choice_is_squashed(trained):
    inputs = RunFolder(trained[1]).read_stage("classify").inputs
    how = inputs["data"]["fit"]
    meta = json.loads(next(trained[1].rglob("meta.json")).read_text())
    assert Meta.model_validate(meta).preprocessing.fit == how
    del meta["preprocessing"]["fit"], meta["recipe"]["data"]["fit"]
    old = Meta.model_validate(meta)
    assert (old.preprocessing.fit, old.recipe.data.fit) == ("squash", "squash")
    assert isinstance(old.preprocessing, Contract)
