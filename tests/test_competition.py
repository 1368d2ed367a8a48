"""A competition from its folder to its submissions: train.py FOLDER, verify.py, submit.py check."""

import csv
import json

import cv2
import numpy as np
import pytest

from tests.data.trees import picture

CLASSES = ("00000", "00007", "00012")  # text: zeros stay
IMAGES = 72  # of training, in groups of three


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    """Images of one colour a class: red, green, blue."""
    root = tmp_path_factory.mktemp("kaggle") / "colours"
    rng = np.random.default_rng(0)

    def draw(folder, name, label):
        (root / folder).mkdir(parents=True, exist_ok=True)
        image = picture(int(rng.integers(1 << 30)), (16, 16, 3)) // 4
        image[..., label] += 150
        assert cv2.imwrite(str(root / folder / f"{name}.jpg"), image[..., ::-1])

    rows = ["image_id,label,track"]
    for i in range(IMAGES):
        draw("train_images", f"{i:03d}", i // 3 % 3)
        rows.append(f"{i:03d},{CLASSES[i // 3 % 3]},{i // 3:02d}")
    truth = {f"{i:03d}": int(rng.integers(3)) for i in range(20)}
    for name, label in truth.items():
        draw("test_images", name, label)
    ids = list(rng.permutation(list(truth)))
    samples = {
        "sample_submission": (["image_id", "label"], [CLASSES[0]]),
        "sample_submission_top2": (["image_id", "label"], [f"{CLASSES[0]} {CLASSES[1]}"]),
        "sample_submission_probabilities": (["image_id", *CLASSES[::-1]], ["0.333333"] * 3),
    }
    for name, (header, cells) in samples.items():
        lines = [",".join(header), *(",".join([i, *cells]) for i in ids)]
        (root / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    return root, ids, truth


@pytest.mark.slow
def test_a_folder_becomes_three_submissions(tmp_path, competition, command):
    root, ids, truth = competition
    run = tmp_path / "runs" / "colours"
    changes = (f"runs={tmp_path}/runs", f"data.cache={tmp_path}/cache")
    small = ("train.minutes=null", "train.epochs=4", "train.ema=null", "train.batch_size=8")
    small = (*small, "model.backbone=resnet10_small")
    done = command("train.py", str(root), *changes, *small)
    assert done.returncode == 0, done.stderr
    assert "24 groups of track, none on both sides" in done.stderr
    done = command("verify.py", str(run))
    assert done.returncode == 0, done.stderr
    answered = {
        kind: list(csv.reader((run / f"submission{kind}.csv").open()))
        for kind in ("", "_top2", "_probabilities")
    }
    place = {name: k for k, name in enumerate(CLASSES)}
    for rows in answered.values():
        assert [row[0] for row in rows[1:]] == ids
    right = [place[label] == truth[name] for name, label in answered[""][1:]]
    assert np.mean(right) >= 0.9
    header, *rows = answered["_probabilities"]
    assert header == ["image_id", *CLASSES[::-1]]
    value_MK = np.array([row[1:] for row in rows], float)[:, ::-1]
    assert np.allclose(value_MK.sum(1), 1, atol=1e-6)
    best = [[CLASSES[k] for k in np.argsort(-row, kind="stable")] for row in value_MK]
    assert [row[1] for row in answered[""][1:]] == [names[0] for names in best]
    assert [row[1].split() for row in answered["_top2"][1:]] == [names[:2] for names in best]
    for kind in answered:
        csv_file, sample = run / f"submission{kind}.csv", root / f"sample_submission{kind}.csv"
        done = command("submit.py", str(csv_file), "--sample", str(sample), "--dry-run")
        assert done.returncode == 0, done.stderr


RECIPE = """\
name: folders
runs: {folder}/runs
data: {{layout: folders, root: {folder}/set, image_size: 16, cache: {folder}/cache, workers: 0}}
model: {{backbone: resnet10_small, embedding: 16}}
train: {{batch_size: 8, precision: fp32}}
stages: {{classify: {{epochs: 2, loss: [{{kind: softmax}}]}}}}
verify: {{resamples: 0}}
"""


@pytest.mark.slow
def test_images_of_one_name_in_folders_of_classes(tmp_path, command):
    rng = np.random.default_rng(0)
    for split, k, i in np.ndindex(2, 2, 8):
        path = tmp_path / "set" / ("train", "test")[split] / ("cat", "dog")[k] / f"{i:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = picture(int(rng.integers(1 << 30)), (16, 16, 3)) // 4
        image[..., k] += 150
        assert cv2.imwrite(str(path), image)
    recipe, run = tmp_path / "folders.yaml", tmp_path / "runs" / "folders"
    recipe.write_text(RECIPE.format(folder=tmp_path.as_posix()))

    def verified(*changes, code=0):
        (run / "verify" / "result.json").unlink(missing_ok=True)
        done = command("verify.py", str(run), *changes)
        assert done.returncode == code, done.stderr
        result = json.loads((run / "verify" / "result.json").read_text())
        assert result["test_accuracy"] is not None and "Traceback" not in done.stderr
        return result, done.stderr

    done = command("train.py", str(recipe))
    assert done.returncode == 0 and "no submission" not in done.stderr, done.stderr
    result, _ = verified()
    with (run / "submission.csv").open() as file:
        header, *rows = csv.reader(file)
    ids = [f"test/{name}/{i:04d}.jpg" for name in ("cat", "dog") for i in range(8)]
    assert header == ["id", "label"] and [row[0] for row in rows] == ids
    right = [label == name.split("/")[1] for name, label in rows]
    assert np.mean(right) == result["test_accuracy"]

    answer, sample = dict(rows), tmp_path / "sample.csv"
    short = [name.removeprefix("test/").removesuffix(".jpg") for name in ids[::-1]]
    sample.write_text("\n".join(["id,label", *(f"{name},cat" for name in short)]))
    verified(f"submission.sample={sample}")
    due = [f"{name},{answer[f'test/{name}.jpg']}" for name in short]
    assert (run / "submission.csv").read_text().splitlines() == ["id,label", *due]

    wrong = "submission.format=s26_verification"
    result, said = verified(wrong)
    assert result["submission"] is None and "no submission is written: " in said
    done = command("submit.py", str(run), "--dry-run")
    assert done.returncode == 2 and "is of an earlier verify.py" in done.stderr
    done = command("train.py", str(recipe), wrong)
    assert "no submission will be written: " in done.stderr and "no test pairs" in done.stderr
    sample.write_text("id,label\nmouse.jpg,cat\n")
    verified(f"submission.sample={sample}", code=2)


@pytest.mark.slow
def test_the_word_for_nobody_is_fitted_on_identities_held_out(tmp_path, command):
    root, rng = tmp_path / "set", np.random.default_rng(0)
    colours = {"red": 4, "green": 2, "blue": 1, "pink": 5, "sky": 3, "sun": 6, "sea": 0, "sand": 7}

    def draw(folder, name, colour):
        (root / folder).mkdir(parents=True, exist_ok=True)
        image = picture(int(rng.integers(1 << 30)), (16, 16, 3)) // 4
        image += np.array([150 * (colour >> c & 1) for c in range(3)], np.uint8)
        assert cv2.imwrite(str(root / folder / f"{name}.png"), image)

    rows = ["image,who"]
    for k, (name, colour) in enumerate(colours.items()):
        for i in range(10):
            draw("train", f"{k}{i}", colour)
            rows.append(f"{k}{i}.png,{name}")
    (root / "train.csv").write_text("\n".join(rows))
    for i in range(8):
        draw("test", f"t{i}", i)
    lines = [f"t{i}.png,red new_individual green" for i in range(8)]
    (root / "sample_submission.csv").write_text("\n".join(["image,predictions", *lines]))
    recipe, run = tmp_path / "folders.yaml", tmp_path / "runs" / "folders"
    text = RECIPE.format(folder=tmp_path.as_posix()).replace("layout: folders", "layout: kaggle")
    recipe.write_text(text)
    done = command("train.py", str(recipe))
    assert "no submission will be written" in done.stderr and "hold_out" in done.stderr
    done = command("verify.py", str(run))
    assert done.returncode == 0 and "data.pairs: {hold_out: 0.1}" in done.stderr, done.stderr

    changes = ("name=held", "data.pairs={hold_out: 3, count: 40}", "stages.classify.epochs=6")
    done = command("train.py", str(recipe), *changes)
    assert done.returncode == 0 and "no submission" not in done.stderr, done.stderr
    done = command("verify.py", str(tmp_path / "runs" / "held"))
    assert done.returncode == 0 and "nobody       new_individual below" in done.stdout, done.stderr
    result = json.loads((tmp_path / "runs" / "held" / "verify" / "result.json").read_text())
    nobody = result["submission"]["nobody"]
    assert (nobody["known"], nobody["unknown"]) == (5, 30)
    with np.load(tmp_path / "runs" / "held" / "verify" / "embeddings.npz") as kept:
        index_M, top_M = kept["index_M"], kept["value_MT"][:, 0]
    known, unknown = top_M[:5], top_M[-30:]
    assert len(index_M) == 5 + 8 + 30
    rates = (known >= nobody["threshold"]).mean(), (unknown < nobody["threshold"]).mean()
    assert nobody["balanced_accuracy"] == pytest.approx(np.mean(rates)) and np.mean(rates) > 0.5
    with (tmp_path / "runs" / "held" / "submission.csv").open() as file:
        lists = [row[1].split() for row in csv.reader(file)][1:]
    firsts = top_M[5:13] < nobody["threshold"]
    assert [names[0] == "new_individual" for names in lists] == firsts.tolist()
