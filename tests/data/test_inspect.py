"""`python -m starter.data`: what it finds in a set whose faults are known, and pairs it writes."""

import itertools
import json
import shutil

import cv2
import numpy as np
import pytest

from starter.data.__main__ import main
from starter.data.inspect.pictures import byte_twins, mode_of, near_twins
from starter.data.layouts.textfiles import read_pairs
from starter.propose import propose
from tests.data.trees import competition, picture

RECIPE = """\
name: x
data: {{layout: {layout}, root: {root}, image_size: 16}}
stages: {{a: {{loss: [{{kind: softmax}}]}}}}
"""


def scene(seed: int, size: int = 48) -> np.ndarray:
    """A picture large enough that its smoothed forms differ from those of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def put(path, image, *options):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, list(options))
    return path


def apart(a, b) -> float:
    """How unlike two pictures are, made grey and 8 pixels small."""
    grey = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY) for path in (a, b)]
    small = [cv2.resize(g, (8, 8), interpolation=cv2.INTER_AREA).astype(float) for g in grey]
    return float(np.abs(small[0] - small[1]).mean())


def recipe_of(folder, layout: str):
    """A recipe file over <folder>/set."""
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(layout=layout, root=(folder / "set").as_posix()))
    return path


@pytest.fixture
def faulty(tmp_path):
    """Three classes of five and a dev split, with one fault of each kind; its recipe."""
    root = tmp_path / "set"
    for k, name in enumerate("abc"):
        for i in range(5):
            put(root / "train" / name / f"{i}.png", scene(10 * k + i))
        put(root / "dev" / name / "0.png", scene(100 + k))
    shutil.copy(root / "train/a/0.png", root / "dev/a/copied.png")  # across splits
    shutil.copy(root / "train/a/1.png", root / "train/b/wrong.png")  # across labels
    shutil.copy(root / "train/c/1.png", root / "train/c/again.png")
    put(root / "dev/c/near.jpg", scene(21), cv2.IMWRITE_JPEG_QUALITY, 60)  # train/c/1, recompressed
    put(root / "train/c/grey.png", cv2.cvtColor(scene(300, 32), cv2.COLOR_BGR2GRAY))
    (root / "train/c/cut.png").write_bytes((root / "train/c/2.png").read_bytes()[:200])
    (root / "train/b/empty.jpg").write_bytes(b"")
    return recipe_of(tmp_path, "auto")


def test_every_fault_is_found_and_nothing_else(faulty, capsys, tmp_path):
    assert main(["inspect", str(faulty), "--json", "--picture", str(tmp_path / "p.png")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["layout"] == "folders" and "recognised folders" in report["why"]
    assert report["splits"] == {"train": 20, "dev": 5, "test": 0, "verify": 0}
    assert report["per_class"]["least"] == 5 and report["per_class"]["most"] == 8
    assert sum(n for *_, n in report["per_class"]["histogram"]) == 3
    assert report["sizes"] == {"48x48": 22, "32x32": 1} and report["modes"] == {"RGB": 22, "L": 1}
    assert report["undecodable"]["count"] == 2
    said = " ".join(report["undecodable"]["examples"])
    assert "cut.png: truncated PNG" in said and "empty.jpg: empty file" in said
    same, near = report["byte_duplicates"], report["near_duplicates"]
    assert (same["pairs"], same["across_splits"], same["across_labels"]) == (3, 1, 1)
    assert same["across_splits_examples"] == [["train/a/0.png", "dev/a/copied.png"]]
    assert same["across_labels_examples"] == [["train/a/1.png", "train/b/wrong.png"]]
    assert same["examples"] == [["train/c/1.png", "train/c/again.png"]]
    assert near["across_splits"] == near["pairs"] == 2 and near["across_labels"] == 0
    assert {a for a, _ in near["across_splits_examples"]} == {"train/c/1.png", "train/c/again.png"}
    sheet = cv2.imread(str(tmp_path / "p.png"))
    assert sheet.shape == (3 * 68, 116 + 12 * 68 + 6 * 8, 3)  # two splits, twins across them
    assert main(["inspect", str(faulty)]) == 0
    text = capsys.readouterr().out
    assert "across labels: train/a/1.png = train/b/wrong.png" in text and "undecodable  2" in text


def test_leakage_pair_balance_and_what_the_pairs_can_tell(tmp_path, capsys):
    root = competition(tmp_path / "set")
    shutil.copy(root / "cls_data/train/images/train_000.jpg", root / "ver_data/a.jpg")
    recipe = recipe_of(tmp_path, "hw2p2")
    assert main(["inspect", str(recipe), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pairs"]["val"] == {"pairs": 2, "genuine": 1, "impostor": 1, "lowest_far": 1.0}
    assert report["pairs"]["test"]["genuine"] is None
    assert report["leakage"]["identities"] is None  # the set does not name them
    assert report["leakage"]["twins"] >= 1 and report["byte_duplicates"]["across_splits"] >= 1
    assert main(["pairs", str(recipe), "--out", str(tmp_path / "x.txt")]) == 2
    assert "ships its own validation pairs" in capsys.readouterr().err


def test_identities_held_out_do_not_leak(faulty, capsys):
    (faulty.parent / "set/train/c/cut.png").unlink()
    (faulty.parent / "set/train/b/empty.jpg").unlink()
    extra = faulty.parent / "set/train/d"
    for i in range(5):
        put(extra / f"{i}.png", scene(400 + i))
    changes = ["data.pairs.hold_out=2", "data.pairs.count=12"]
    assert main(["inspect", str(faulty), *changes, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["leakage"]["identities"] == 0 and report["pairs"]["val"]["genuine"] == 6
    assert report["classes"] == 2


@pytest.mark.parametrize("hard", [False, True])
def test_pairs_are_written_in_the_competitions_format(tmp_path, capsys, hard):
    root = tmp_path / "set"
    for k, i in itertools.product(range(6), range(5)):  # neighbouring numbers look alike
        image = scene(k // 2).astype(int) + picture(10 * k + i, (48, 48, 3)) // 4
        put(root / f"n{k}" / f"{i}.png", np.clip(image, 0, 255).astype(np.uint8))
    recipe = recipe_of(tmp_path, "folders")
    out = tmp_path / "val_pairs.txt"
    keys = ["data.pairs.hold_out=4", "data.pairs.count=20"]
    assert main(["pairs", str(recipe), *keys, "--out", str(out), *["--hard"] * hard]) == 0
    names = {path.relative_to(root).as_posix() for path in root.rglob("*.png")}
    rows = read_pairs(out, names, root)
    assert len(rows) == 20 and sum(bool(row.same) for row in rows) == 10
    assert all((row.a[:2] == row.b[:2]) == row.same for row in rows)
    assert len({frozenset((row.a, row.b)) for row in rows}) == 20
    twins = sum(int(row.a[1]) // 2 == int(row.b[1]) // 2 for row in rows if not row.same)
    assert twins == 10 if hard else twins < 10
    if hard:  # the ten of all genuine pairs that look least alike
        held = {row.a[:2] for row in rows} | {row.b[:2] for row in rows}
        files = [sorted(root.glob(f"{who}/*.png")) for who in held]
        every = [apart(a, b) for own in files for a, b in itertools.combinations(own, 2)]
        kept = [apart(root / row.a, root / row.b) for row in rows if row.same]
        assert sorted(kept) == pytest.approx(sorted(every)[-10:])
    assert main(["pairs", str(recipe), *keys, "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_file_that_pil_cannot_open_has_an_unknown_mode():
    assert mode_of(b"\xff\xd8nothing") == mode_of(b"") == "unknown"


def test_twins_by_brute_force():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (60, 64)).astype(np.uint8)
    small[40:50] = np.clip(small[:10].astype(int) + rng.integers(-2, 3, (10, 64)), 0, 255)
    small[50:] = 7  # nothing to see: not called twins of each other
    twins = {tuple(pair) for pair in near_twins(small, np.ones(60, bool))}
    every = itertools.combinations(range(50), 2)
    wanted = {(a, b) for a, b in every if np.abs(small[a].astype(int) - small[b]).mean() <= 2}
    assert len(wanted) == 10 and twins <= wanted and len(twins) >= 9
    drawn = np.full((2, 105, 105), 255, np.uint8)  # other strokes, as far apart as near twins
    cv2.line(drawn[0], (30, 30), (45, 45), 0, 3)
    cv2.line(drawn[1], (30, 30), (45, 35), 0, 3)
    lines = np.stack([cv2.resize(d, (8, 8), interpolation=cv2.INTER_AREA).ravel() for d in drawn])
    assert np.abs(lines[0].astype(int) - lines[1]).mean() < 2 and lines.std(axis=1).min() > 4
    assert not len(near_twins(lines, np.ones(2, bool)))
    sums = np.array([3, 5, 3, 9, 5, 3], np.uint64)
    valid = np.array([1, 1, 1, 1, 1, 0], bool)
    assert sorted(map(tuple, byte_twins(sums, valid))) == [(0, 2), (1, 4)]


def test_a_picture_of_what_augmentation_does(tmp_path, capsys):
    for (k, name), i in itertools.product(enumerate("ab"), range(3)):
        put(tmp_path / f"set/train/{name}/{i}.png", scene(10 * k + i))
    recipe = recipe_of(tmp_path, "folders")
    out, flip = tmp_path / "a.png", "augment=[{kind: HorizontalFlip, p: 1}]"
    assert main(["augmented", str(recipe), flip, "--picture", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["variants"] == 6
    sheet = cv2.imread(str(out))
    first, variant = sheet[4:20, 4:20], sheet[4:20, 36:52]  # 16 pixels, gaps of 4 and of 12 more
    np.testing.assert_array_equal(variant, first[:, ::-1])
    assert main(["augmented", str(recipe), "--picture", str(out)]) == 2
    assert "nothing to augment" in capsys.readouterr().err


def test_a_folder_without_a_recipe_gets_one(tmp_path, capsys):
    root, recipe = tmp_path / "my set", tmp_path / "my.yaml"
    for (k, name), i in itertools.product(enumerate("ab"), range(4)):
        put(root / f"train/{name}/{i}.png", scene(10 * k + i))
    assert main(["inspect", str(root), "--recipe", str(recipe), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "recognised folders" in report["why"] and report["recipe"] == recipe.as_posix()
    assert report["splits"] == {"train": 8, "dev": 0, "test": 0, "verify": 0}
    assert recipe.read_text() == propose(root, "my-set")
    assert main(["inspect", str(recipe), "--json"]) == 0  # a recipe like any other
    assert json.loads(capsys.readouterr().out)["splits"]["dev"] == 2
    recipe.write_text("mine")
    assert main(["inspect", str(root), "--recipe", str(recipe)]) == 2
    assert "my.yaml is there already" in capsys.readouterr().err
    assert recipe.read_text() == "mine"
    assert main(["inspect", str(recipe), "--recipe", str(tmp_path / "other.yaml")]) == 2
    assert "goes with a folder" in capsys.readouterr().err


def test_changes_go_over_what_a_folder_is(tmp_path, capsys):
    for (k, name), i in itertools.product(enumerate("abcd"), range(4)):
        put(tmp_path / f"{name}/{i}.png", scene(10 * k + i))
    changes = ["data.pairs.hold_out=2", "data.pairs.count=12"]
    assert main(["inspect", str(tmp_path), *changes, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["classes"], report["splits"]["verify"]) == (2, 8)
