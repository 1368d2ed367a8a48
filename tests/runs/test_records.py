"""Records read back as they were written, and name what is wrong with a file of another shape."""

import json

import pytest

from starter.errors import UserError
from starter.runs.folder import RunFolder
from starter.runs.records import Best, Choices, Meta, Stage, Step, Summary
from starter.runs.result import Fusion, Member, Result
from tests.runs.made import meta

RECORDS = {
    "summary": Summary(stages={}, best=None),
    "best": Best(stage="classify"),
    "step": Step(step=3),
    "choices": Choices(precision="bf16", micro_batch=4),
    "stage": Stage(hash="0", inputs={"name": "a", "seed": 1, "list": [1, 2.5, None]}),
    "meta": meta(),
    "fusion": Fusion(
        kind="mean",
        members=(Member(run="a", stage="s", weights="0", tta=("hflip",), share=1.0),),
        parameters=1,
    ),
    "result": Result(
        run="a",
        stage="s",
        weights="0",
        tta=(),
        fusion=None,
        stages={},
        images=1,
        transductive=False,
        classes_from="class logits",
    ),
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_record_reads_back_the_same(record, tmp_path):
    record.write(tmp_path / "a.json")
    assert type(record).read(tmp_path / "a.json") == record


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_another_shape_is_named_with_the_file_and_what_to_do(record, tmp_path):
    path, kind = tmp_path / "a.json", type(record)
    for text in ("5", "null", "[]", '"x"', "{}", "{", "[" * 10_000):
        path.write_text(text)
        with pytest.raises(UserError) as told:
            kind.read(path)
        assert "a.json" in str(told.value) and kind.mend in str(told.value)
        assert len(str(told.value).splitlines()) == 1
    whole = record.model_dump(mode="json")
    for key in whole:
        for changed in (
            {k: v for k, v in whole.items() if k != key},
            whole | {key: {"nobody": [[]]}},
        ):
            if kind is Stage and key == "inputs" and key in changed:
                continue  # any plain values
            path.write_text(json.dumps(changed))
            with pytest.raises(UserError, match=rf"a\.json.*{key}.*{kind.mend.split()[0]}"):
                kind.read(path)
    path.write_text(json.dumps(whole | {"nobody": 1}))
    with pytest.raises(UserError, match="nobody"):
        kind.read(path)


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 2, "stage": "classify"}))
    with pytest.raises(UserError, match=r"a\.json: version.* 1.* 2"):
        Best.read(path)


def test_a_file_that_is_not_there_is_none(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read_best() is folder.read_stage("classify") is folder.read_result() is None
    assert folder.weights_of("classify") is None and folder.read_summary().stages == {}
    with pytest.raises(UserError, match="is missing"):
        Meta.read(tmp_path / "meta.json")
