"""What a stage keeps for its report, against the long way round."""

import json
from pathlib import Path

import numpy as np
import pytest

from starter.api import train
from starter.data import load_catalog, load_pack
from starter.hooks.report import _angles, _between, _per_degree, _thumbnails
from starter.inference.open_stage import open_stage
from starter.recipe import load
from starter.runs.folder import RunFolder
from tests.conftest import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demo_root):
    folder = tmp_path_factory.mktemp("shown")
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(folder=folder.as_posix(), demo=demo_root.as_posix()))
    recipe = load(path, [])
    train(recipe)
    catalog = load_catalog(recipe.data)
    image_NHWC = load_pack(catalog, 16, 3, Path(recipe.data.cache))
    return recipe, catalog, image_NHWC, RunFolder(folder / "runs" / "tiny")


def shown(folder: RunFolder, stage: str, name: str) -> dict:
    with np.load(folder.stage(stage).shown_file(name)) as file:
        return {key: file[key] for key in file.files}


def test_scores_have_the_labels_of_their_pairs(trained):
    _, catalog, _, folder = trained
    kept, pairs = shown(folder, "classify", "scores"), catalog.pairs["val"]
    with np.load(folder.stage("classify").predictions) as best:
        assert np.array_equal(kept["score"], best["score_P"])
    assert np.array_equal(kept["same"], pairs.same_P)


def test_the_hardest_pairs_are_the_ones_furthest_on_the_wrong_side(trained):
    _, catalog, image_NHWC, folder = trained
    kept, scores = shown(folder, "classify", "pairs"), shown(folder, "classify", "scores")
    for kind, wanted, worst in (("genuine", True, np.min), ("impostor", False, np.max)):
        assert kept[f"{kind}_score"][0] == worst(scores["score"][scores["same"] == wanted])
        for name, side in zip(kept[f"{kind}_name"][0], "ab", strict=True):
            item = list(catalog.names).index(name)
            assert np.array_equal(kept[f"{kind}_{side}"][0], image_NHWC[item])


def test_angles_and_predictions_are_those_of_the_best_checkpoint(trained):
    recipe, catalog, image_NHWC, folder = trained
    opened = open_stage(folder, recipe, "finetune", catalog)
    dev_M = catalog.index("dev")
    emb_MD = opened.embed(image_NHWC, dev_M).astype(np.float64)
    weight_KD = opened.learner.objective.classifier.weight.detach().numpy().astype(np.float64)
    kept = shown(folder, "finetune", "angles")
    own = []
    for emb, k in zip(emb_MD, catalog.label_N[dev_M], strict=True):
        cosine = emb @ weight_KD[k] / np.linalg.norm(emb) / np.linalg.norm(weight_KD[k])
        own.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    wanted = np.histogram(own, bins=180, range=(0, 180))[0]
    assert kept["dev_own"].sum() == len(dev_M)
    assert np.abs(np.cumsum(kept["dev_own"]) - np.cumsum(wanted)).max() <= 1  # at a bin's edge
    classes = shown(folder, "finetune", "classes")
    record = folder.read_stage("finetune")
    accuracy = (classes["dev_label"] == classes["dev_predicted"]).mean()
    assert accuracy == pytest.approx(record.metrics["accuracy"])
    images = shown(folder, "finetune", "images")
    assert (np.diff(images["loss"]) <= 0).all()


def test_every_evaluation_has_its_angles_and_the_first_batch_is_kept_as_it_was_seen(trained):
    _, _, image_NHWC, folder = trained
    for stage in ("classify", "finetune"):
        rows = folder.stage(stage).metrics.read_text().splitlines()
        steps = {row["step"] for row in map(json.loads, rows) if row.get("accuracy") is not None}
        files = folder.stage(stage).shown.glob("angles-*.npz")
        assert {int(path.stem[7:]) for path in files} == steps
        kept = shown(folder, stage, "augmented")
        for before, seen in zip(kept["before"], kept["seen"], strict=True):
            assert any(np.array_equal(before, image) for image in image_NHWC)
            flipped = np.array_equal(seen, before[:, ::-1])  # the recipe's only transform
            assert flipped or np.array_equal(seen, before)


def test_angles_of_vectors_known_by_hand():
    class_KD = np.array([[2.0, 0], [0, 3], [-1, 0]])
    emb_MD = np.array([[1.0, 1], [0, 5]])
    own, other = _angles(emb_MD, class_KD, np.array([0, 2]))
    np.testing.assert_allclose(own, [45, 90])
    np.testing.assert_allclose(other, [45, 0])
    kept = _between(class_KD)
    assert kept["between"][90] == 2 and kept["between"][179] == 1  # 180 falls in the last degree
    assert kept["nearest"][90] == 3
    assert _between(class_KD[:1]) == {}
    assert _per_degree(np.array([0.0, 180.0]))[[0, 179]].tolist() == [1, 1]


def test_thumbnails_of_large_and_grey_images_keep_their_shape():
    grey = np.zeros((2, 200, 200, 1), np.uint8)
    assert _thumbnails(grey).shape == (2, 96, 96, 1)
    assert _thumbnails(grey[:, :50, :50]).shape == (2, 50, 50, 1)
    assert _thumbnails(grey[:0]).shape[0] == 0
