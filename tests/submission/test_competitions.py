"""The submission of every kind of competition, written by hand."""

import numpy as np
import pytest

from starter.data import load_catalog
from starter.submission import Answers, Ranked, check, fill, mean_by_id, write
from tests.data.test_kaggle import COMPETITIONS
from tests.data.trees import section
from tests.data.years import images, text

# Of the test images in the catalog's order, the j-th is most likely of class j, then of j + 1 and
# so on, round and round; each class is half as likely as the one before.
TWO, ONE = "0.666666667", "0.333333333"
SUBMISSIONS = {
    # of eight classes the second likeliest has 0.25, and below 0.3 it is nobody known
    "whales": ["Image,Id", *(f"t{i}.jpg,w_{j} new_whale" for j, i in enumerate((2, 0, 1)))],
    "animals": ["image_id,identity", "76,x", "77,y"],
    "happywhale": ["image,predictions", *(f"00{j}.jpg,{j}a {(j + 1) % 8}a" for j in range(8))],
    "landmarks": ["id,landmarks", f"00b2,7 {TWO}", f"1e10,20409 {TWO}", f"0a1f,7 {TWO}"],
    "dogs": [
        "id,a,b",
        *(f"00{j},{TWO},{ONE}" if j % 2 == 0 else f"00{j},{ONE},{TWO}" for j in range(8)),
    ],
    "plants": [
        "image_id,rust,healthy",
        f"Test_0,{ONE},{TWO}",
        f"Test_1,{TWO},{ONE}",
        f"Test_2,{TWO},{ONE}",
        f"Test_3,{ONE},{TWO}",
    ],
    "hotels": [
        "image,hotel_id",
        "000.jpg,90 91 92 93 94",
        "001.jpg,91 92 93 94 95",
        "002.jpg,92 93 94 95 96",
        "003.jpg,93 94 95 96 97",
        "004.jpg,94 95 96 97 90",
        "005.jpg,95 96 97 90 91",
        "006.jpg,96 97 90 91 92",
        "007.jpg,97 90 91 92 93",
    ],
    "fungi": ["observationID,predictions", "q2,2 0", "q1,1 0"],
}


def ranked(count: int, classes: int) -> Ranked:
    class_MK = (np.arange(count)[:, None] + np.arange(classes)) % classes
    probability_K = 0.5 ** np.arange(classes)
    return Ranked(class_MK, np.tile(probability_K / probability_K.sum(), (count, 1)))


@pytest.mark.parametrize("kind", SUBMISSIONS)
def test_a_competition_is_answered_to_the_last_cell(tmp_path, kind):
    pictures, files, _ = next(COMPETITIONS[name] for name in COMPETITIONS if name.startswith(kind))
    images(tmp_path, *pictures)
    for name, lines in files.items():
        text(tmp_path / name, *lines)
    catalog = load_catalog(section(tmp_path, "auto", split={"dev": 0}))
    names = [catalog.submission_name(i) for i in catalog.index("test")]
    best = ranked(len(names), len(catalog.classes))
    names, best = mean_by_id(names, best, len(catalog.classes))
    classes = [catalog.classes[k] for k in best.class_MT[:, 0]]
    answers = Answers(names, classes, classes=catalog.classes, ranked=best, nobody_below=0.3)
    (sample,) = catalog.samples
    out = tmp_path / "submission.csv"
    write(fill(sample, "classification", answers), out)
    assert out.read_text().splitlines() == SUBMISSIONS[kind]
    assert [p for p in check(out, sample) if p.severity == "error"] == []
