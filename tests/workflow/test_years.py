"""From each family's tree to the file that is handed in: one step, verify, a plain reading."""

import numpy as np
import pytest

from starter import workflow
from starter.recipe import load
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


@pytest.fixture
def trained(tmp_path):
    def run(year):
        expected = YEARS[year](tmp_path / "data")
        path = tmp_path / "year.yaml"
        path.write_text(RECIPE.format(folder=tmp_path.as_posix()))
        workflow.train(load(path))
        return expected, tmp_path / "runs" / "year"

    return run


def hand_in(run, format) -> tuple[dict, list[str]]:
    result = workflow.verify(run, overrides=[f"submission.format={format}"])
    return result, (run / "submission.csv").read_text().splitlines()


def embedded(run, catalog_names) -> dict[str, np.ndarray]:
    saved = np.load(run / "verify" / "embeddings.npz")
    unit = saved["emb_UD"] / np.linalg.norm(saved["emb_UD"], axis=1, keepdims=True)
    return {catalog_names[i]: row for i, row in zip(saved["index_U"], unit, strict=True)}


def names_of(run):
    """Paths by item, relative to the expectation's base, by the recipe's own data."""
    from starter.data import load_catalog

    catalog = load_catalog(load(run / "recipe.yaml", []).data)
    return catalog


HEADERS = {
    "S19": ("s19_verification", "trial,score", ["e.jpg a.jpg", "e.jpg d.jpg"]),
    "S21": ("s21_verification", "Id,Category", ["verification_data/e.jpg verification_data/a.jpg",
                                                "verification_data/e.jpg verification_data/d.jpg"]),
    "S22": ("s22_verification", "id,match", ["0", "1"]),
    "F24": ("f24_verification", "ID,Label", ["0", "1"]),
}  # fmt: skip
CLASSES = {
    "S19": ("s19_classification", ["2", "0", "1"], {"10", "8", "9"}),
    "S21": ("s21_classification", ["1.jpg", "2.jpg", "0.jpg"], {"10", "9"}),
    "S22": ("s22_classification", ["000000.jpg", "000001.jpg", "000002.jpg"], {"0", "1"}),
}


@pytest.mark.parametrize("year", HEADERS)
def test_scores_and_classes_are_handed_in_as_the_year_asks(trained, year):
    expected, run = trained(year)
    format, header, ids = HEADERS[year]
    _, lines = hand_in(run, format)
    catalog = names_of(run)
    of = embedded(run, [catalog.path(i).as_posix() for i in range(len(catalog))])
    wanted = [float(of[(expected.base / a).as_posix()] @ of[(expected.base / b).as_posix()])
              for a, b in expected.pairs]  # fmt: skip
    assert lines[0] == header
    assert [line.rsplit(",", 1)[0] for line in lines[1:]] == ids
    assert [float(line.rsplit(",", 1)[1]) for line in lines[1:]] == pytest.approx(wanted, abs=1e-6)
    if year in CLASSES:
        format, ids, allowed = CLASSES[year]
        _, lines = hand_in(run, format)
        assert lines[0] == "id,label" and [line.split(",")[0] for line in lines[1:]] == ids
        assert {line.split(",")[1] for line in lines[1:]} <= allowed


@pytest.mark.parametrize(("year", "nobody"), [("F22", False), ("S24", True)])
def test_unknown_faces_are_matched_as_the_year_asks(trained, year, nobody):
    expected, run = trained(year)
    result, lines = hand_in(run, f"{year.lower()}_identification")
    catalog = names_of(run)
    of = embedded(run, [catalog.path(i).as_posix() for i in range(len(catalog))])
    at = {name: of[(expected.base / name).as_posix()] for name in (
        *(name for name, _ in expected.known), *(name for name, _ in expected.unknown_dev),
        *expected.unknown_test)}  # fmt: skip

    def best(probe):
        return max((float(at[probe] @ at[name]), who) for name, who in expected.known)

    dev = [(*best(name), answer) for name, answer in expected.unknown_dev]
    tried = [-2.0, *(score + 1e-6 for score, *_ in dev)] if nobody else [-2.0]
    right = [sum((who if score >= t else None) == answer for score, who, answer in dev)
             for t in tried]  # fmt: skip
    found = result["identification"]
    assert found["accuracy"] == pytest.approx(max(right) / 3) and found["probes"] == 3
    threshold = found["threshold"] if found["threshold"] is not None else -2.0
    words = [who if score >= threshold else "n000000"
             for score, who in map(best, expected.unknown_test)]  # fmt: skip
    assert lines == ["id,label", *(f"{i},{word}" for i, word in enumerate(words))]
    assert list(found["cmc"]) == [1]  # of two people
    _, lines = hand_in(run, f"{year.lower()}_classification")
    assert [line.split(",")[0] for line in lines[1:]] == [f"{i:06d}.jpg" for i in range(3)]


def test_the_result_tells_folds_and_retrieval(tmp_path):
    from tests.data.trees import class_folders

    class_folders(tmp_path / "data" / "train", {"a": 4, "b": 4})
    class_folders(tmp_path / "data" / "other", {name: 6 for name in "cdef"})
    path = tmp_path / "year.yaml"
    path.write_text(RECIPE.format(folder=tmp_path.as_posix()))
    keys = ["data.layout=folders", "data.splits.verify=other", "data.pairs.count=60"]
    workflow.train(load(path, keys))
    result = workflow.verify(tmp_path / "runs" / "year")
    assert result["folds"]["folds"] == 10 and 0 <= result["folds"]["accuracy"] <= 1
    assert result["retrieval"]["queries"] == 24 and 0 < result["retrieval"]["map_at_r"] <= 1
    from verify import measured

    lines = measured(result)
    assert lines[0].startswith("folds") and "recall@1 " in lines[1] and len(lines) == 2
