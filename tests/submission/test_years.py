"""From each year's tree and recipe to the files that are handed in, against files written by hand.

In FILES every row is as that year's course wants it; only what a network says is left open: SCORE,
CLASS (a folder's name), INDEX (a class's number), WHO. The test works those out from the saved
embeddings and weights by numpy, or by a loop over the known faces.
"""

import itertools

import numpy as np
import pytest
from safetensors.numpy import load_file

from starter import api
from starter.data import load_catalog
from starter.recipe import load
from starter.submission.years import FORMATS
from tests.conftest import ROOT
from tests.data.years import YEARS

RECIPE = """\
name: year
runs: {folder}/runs
data: {{layout: auto, root: {folder}/data, cache: {folder}/cache, image_size: 16, workers: 0}}
model: {{backbone: resnet10_small, embedding: 8}}
train: {{batch_size: 4, precision: fp32}}
stages: {{classify: {{epochs: 1, loss: [{{kind: softmax}}]}}}}
verify: {{resamples: 0}}
"""
TINY = [
    "name=year",
    "data.image_size=16",
    "data.workers=0",
    "model.backbone=resnet10_small",
    "model.embedding=8",
    "train.precision=fp32",
    "train.batch_size=4",
    "verify.resamples=0",
    "stages.classify.epochs=1",
    "stages.classify.schedule.warmup_epochs=0",
]

BY_ROW = "ID,Label\n0,SCORE\n1,SCORE\n"
BY_INDEX = "id,label\n000000.jpg,INDEX\n000001.jpg,INDEX\n000002.jpg,INDEX\n"
UNKNOWN = "id,label\n0,WHO\n1,WHO\n2,WHO\n3,WHO\n"
TRIALS = "trial,score\ne.jpg a.jpg,SCORE\ne.jpg d.jpg,SCORE\n"
FROM_ROOT = """\
Id,Category
verification_data/e.jpg verification_data/a.jpg,SCORE
verification_data/e.jpg verification_data/d.jpg,SCORE
"""
FILES = {
    "S19": {
        "s19_verification": TRIALS,
        "s19_classification": "id,label\n2,CLASS\n0,CLASS\n1,CLASS\n",
    },
    "S20": {
        "s20_verification": TRIALS,
        "s20_classification": "Id,Category\n2.jpg,CLASS\n0.jpg,CLASS\n1.jpg,CLASS\n",
    },
    "F20": {"f20_verification": FROM_ROOT},
    "S21": {
        "s21_verification": FROM_ROOT,
        "s21_classification": "id,label\n1.jpg,CLASS\n2.jpg,CLASS\n0.jpg,CLASS\n",
    },
    "F21": {
        "f21_verification": "Id,Category\ne.jpg a.jpg,SCORE\ne.jpg d.jpg,SCORE\n",
        "f21_classification": "id,label\n0.jpg,CLASS\n1.jpg,CLASS\n2.jpg,CLASS\n3.jpg,CLASS\n"
        "4.jpg,CLASS\n5.jpg,CLASS\n6.jpg,CLASS\n7.jpg,CLASS\n8.jpg,CLASS\n9.jpg,CLASS\n"
        "10.jpg,CLASS\n11.jpg,CLASS\n",
    },
    "S22": {"s22_verification": "id,match\n0,SCORE\n1,SCORE\n", "s22_classification": BY_INDEX},
    "F22": {"f22_identification": UNKNOWN, "f22_classification": BY_INDEX},
    "S23": {"s23_identification": UNKNOWN, "s23_classification": BY_INDEX},
    "F23": {"f23_identification": UNKNOWN, "f23_classification": BY_INDEX},
    "S24": {"s24_identification": UNKNOWN, "s24_classification": BY_INDEX},
    "F24": {"f24_verification": BY_ROW},
    "F24 csv": {"f24_verification": BY_ROW},
    "S25": {"s25_verification": BY_ROW},
    "F25": {"f25_verification": BY_ROW},
    "S26": {"s26_verification": BY_ROW},
    "F26": {
        "combined": "ID,Label\ntest_000002.jpg,CLASS\ntest_000004.jpg,CLASS\n"  # unverified
        "e.jpg a.jpg,SCORE\ne.jpg d.jpg,SCORE\n"
    },
}


def test_every_year_and_every_file_of_a_year_is_here():
    assert set(FILES) == set(YEARS)
    ours = {name for files in FILES.values() for name in files}
    assert {name for name in FORMATS if name[1:3].isdecimal()} - ours == {"f26_combined"}
    assert FORMATS["f26_combined"] == FORMATS["combined"]


def recipe_of(year: str, folder):
    """The year's own recipe, with a network and images that take no time."""
    name = "hw2p2" if year == "F26" else f"untested/hw2p2_{year[:3].lower()}"
    places = [f"runs={folder}/runs", f"data.root={folder}/data", f"data.cache={folder}/cache"]
    return load(ROOT / "configs" / f"{name}.yaml", [*TINY, *places])


class Answers:
    """What a run says, worked out again from its embeddings and its class weights."""

    def __init__(self, run, expected):
        saved = np.load(run / "verify" / "embeddings.npz")
        catalog = load_catalog(load(run / "recipe.yaml", []).data)
        self.base, self.expected, self.catalog = expected.base, expected, catalog
        self.emb = {
            catalog.path(i).as_posix(): row.astype(float)
            for i, row in zip(saved["index_U"], saved["emb_UD"], strict=True)
        }
        [weights] = run.glob("classify/checkpoints/*/weights.safetensors")
        self.head = {
            key.rsplit(".", 1)[-1]: value
            for key, value in load_file(weights).items()
            if key.startswith("objective")
        }

    def of(self, name) -> np.ndarray:
        return self.emb[(self.base / name).as_posix()]

    def cosine(self, a, b) -> float:
        a, b = self.of(a), self.of(b)
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    def classes(self) -> list[int]:
        """Of the test images, in the order of the expectation."""
        return [
            int(np.argmax(self.head["weight"] @ self.of(name) + self.head["bias"]))
            for name in self.expected.test
        ]

    def best(self, probe) -> tuple[float, str]:
        return max((self.cosine(probe, name), who) for name, who in self.expected.known)

    def fitted(self) -> tuple[float, float]:
        """The accuracy on the labelled unknown faces, and the lowest threshold that gives it,
        midway between two scores."""
        dev = [(*self.best(name), answer) for name, answer in self.expected.unknown_dev]
        level = sorted(score for score, *_ in dev)
        nobody = any(answer is None for *_, answer in dev)
        between = [(a + b) / 2 for a, b in itertools.pairwise(level)]
        tried = [-2.0, *between, 2.0] if nobody else [-2.0]
        right = [
            (sum((who if score >= t else None) == answer for score, who, answer in dev), -t)
            for t in tried
        ]
        return max(right)[0] / len(dev), -max(right)[1]

    def fill(self, text: str) -> list[list[str]]:
        """The rows of a file written by hand, what is open in it filled in."""
        kind = {word for word in ("SCORE", "CLASS", "INDEX", "WHO") if word in text}
        answers: list = []
        if kind & {"CLASS", "INDEX"}:
            names = self.expected.classes if "CLASS" in kind else range(len(self.expected.classes))
            answers += [str(names[k]) for k in self.classes()]
        if "SCORE" in kind:
            answers += [self.cosine(a, b) for a, b in self.expected.pairs]
        if "WHO" in kind:
            threshold = self.fitted()[1]
            answers += [
                who if score >= threshold else "n000000"
                for score, who in map(self.best, self.expected.unknown_test)
            ]
        rows = [line.rsplit(",", 1) for line in text.splitlines()]
        return [rows[0], *([id, answer] for (id, _), answer in zip(rows[1:], answers, strict=True))]


def same(row: list[str], wanted: list) -> bool:
    if isinstance(wanted[1], float):
        return row[0] == wanted[0] and float(row[1]) == pytest.approx(wanted[1], abs=1e-6)
    return row == wanted


@pytest.mark.parametrize("year", YEARS)
def test_a_years_files_are_those_written_by_hand(tmp_path, year):
    expected = YEARS[year](tmp_path / "data")
    recipe = recipe_of(year, tmp_path.as_posix())
    assert recipe.submission.format == next(iter(FILES[year]))
    assert recipe.data.layout == expected.layout
    summary = api.train(recipe, stage="classify")
    assert summary.stages["classify"].epochs == 1
    run = tmp_path / "runs" / "year"
    result = api.verify(run)
    for format, text in FILES[year].items():
        if format != recipe.submission.format:
            result = api.verify(run, overrides=[f"submission.format={format}"])
        answers = Answers(run, expected)
        wanted = answers.fill(text)
        content = (run / "submission.csv").read_text()
        assert content.endswith("\n") and "\r" not in content
        rows = [line.rsplit(",", 1) for line in content.splitlines()]
        assert len(rows) == len(wanted)
        assert not [(f, w) for f, w in zip(rows, wanted, strict=True) if not same(f, w)]
    if expected.known:
        identification = result.identification
        assert identification.accuracy == pytest.approx(answers.fitted()[0])
        assert identification.probes == 3 and list(identification.cmc) == [1]  # of two people


def test_the_result_tells_folds_and_retrieval(tmp_path):
    from tests.data.trees import class_folders

    class_folders(tmp_path / "data" / "train", {"a": 4, "b": 4})
    class_folders(tmp_path / "data" / "other", {name: 6 for name in "cdef"})
    path = tmp_path / "year.yaml"
    path.write_text(RECIPE.format(folder=tmp_path.as_posix()))
    keys = ["data.layout=folders", "data.splits.verify=other", "data.pairs.count=60"]
    api.train(load(path, keys))
    result = api.verify(tmp_path / "runs" / "year")
    assert result.folds.folds == 10 and 0 <= result.folds.accuracy <= 1
    assert result.retrieval.queries == 24 and 0 < result.retrieval.map_at_r <= 1
    from starter.cli.words import verified

    lines = {line.split()[0]: line for line in verified(result, None).splitlines() if line}
    assert {"threshold", "calibration", "folds", "retrieval"} <= set(lines)
    assert "recall@1 " in lines["retrieval"]
