"""The built-in competition is the same to the last byte: recorded numbers were measured on it."""

import hashlib

import cv2
import numpy as np
import pytest

from starter.data.demo import answers_of, ensure_demo, score
from starter.data.demo.drawing import render
from starter.data.demo.traits import OCCLUDERS, Face, View, draw
from starter.errors import UserError
from starter.recipe.schema.data import DemoSection

PIXELS = "f58b9d419363a9c0ee87e1f25365b2afb8f5fb7d319ec1f4a8e1bee125e62188"
FILES = "f8841778556f8203982c2f9d6766fa7360d16987fa808d2a7d41a042e41785b2"
recorded = pytest.mark.skipif(cv2.__version__ != "4.14.0", reason="recorded with opencv 4.14.0")


@recorded
def test_pictures_are_recorded_pixel_for_pixel():
    """Every feature and occluder appears among so many faces."""
    digest, seen = hashlib.sha256(), set()
    for i in range(120):
        rng = np.random.default_rng([7, i])
        face, view = draw(Face, rng), draw(View, rng)
        seen.add(view.occluder)
        digest.update(render(face, view, 40 if i % 2 else 24).tobytes())
    assert seen == set(OCCLUDERS)
    assert digest.hexdigest() == PIXELS


@recorded
def test_the_competition_is_recorded_byte_for_byte(demo_root):
    digest = hashlib.sha256()
    for folder in (demo_root, answers_of(demo_root)):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    assert digest.hexdigest() == FILES


def test_a_competition_of_other_parameters_is_refused(demo_root, tmp_path):
    with pytest.raises(UserError, match="identities 8 there, 9 asked for"):
        ensure_demo(DemoSection(identities=9, verify_identities=8), demo_root)
    (tmp_path / "demo").mkdir()
    with pytest.raises(UserError, match="not a built-in competition"):
        ensure_demo(DemoSection(), tmp_path / "demo")


@pytest.mark.parametrize("by_row", [False, True])
def test_a_submission_is_laid_beside_the_answers(demo_root, tmp_path, by_row):
    folder = answers_of(demo_root)
    images, pairs = (
        [line.split() for line in (folder / f"test_{what}.txt").read_text().splitlines()]
        for what in ("labels", "pairs")
    )
    pair_rows = [f"{i if by_row else f'{a} {b}'},{i / 7}" for i, (a, b, _) in enumerate(pairs)]
    classes = [] if by_row else [f"{name},{label}" for name, label in images]
    path = tmp_path / "submission.csv"
    path.write_text("\n".join(["ID,Label", *pair_rows, *classes[::-1]]))
    compared = score(path, demo_root)
    np.testing.assert_allclose(compared.score_P, np.arange(len(pairs)) / 7, rtol=1e-6)
    assert compared.same_P.tolist() == [same == "1" for *_, same in pairs]
    if by_row:
        assert compared.predicted_M is None and compared.label_M is None
    else:
        assert compared.predicted_M.tolist() == compared.label_M.tolist()
        assert compared.label_M.tolist() == [int(label) for _, label in images]
    path.write_text("\n".join(["ID,Label", *pair_rows[:-1]]))
    with pytest.raises(UserError, match="1 of 40 test pairs are missing"):
        score(path, demo_root)
