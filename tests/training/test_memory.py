"""micro_batch: auto, and running out of memory."""

import json

import pytest
import torch

from starter.errors import UserError
from starter.recipe import load
from starter.recipe.schema import StageSection
from starter.runs.folder import StageFolder
from starter.training import memory
from starter.training.memory import choose_micro_batch, shortage_told
from tests.test_train_stage import make_state

SOFTMAX = [{"kind": "softmax"}]


@pytest.mark.parametrize(
    "batch, room, expected",
    [
        (512, 10**4, 128),
        (512, 100 + 4 * 64, 64),
        (512, 100 + 4 * 64 - 1, 32),
        (512, 108, 2),
        (512, 107, None),
        (96, 100 + 4 * 40, 32),
        (7, 128, 7),
        (7, 127, None),
    ],
)
def test_the_largest_divisor_that_fits(batch, room, expected):
    """A device on which the network takes 100 bytes and an image 4, and which ends at 1,000."""
    tried = []

    def needs(micro):
        tried.append(micro)
        return 100 + 4 * micro if 100 + 4 * micro <= 1000 else None

    assert choose_micro_batch(batch, needs, room) == expected
    assert tried == sorted(tried, reverse=True) and all(batch % m == 0 for m in tried)


def job(tmp_path, device="cpu", **section):
    """Enough of a stage's job for its memory."""
    stage = StageSection.model_validate({"loss": SOFTMAX, "batch_size": 8, **section})

    class Job:
        name, folder, section = "classify", StageFolder(tmp_path), stage

    Job.device = torch.device(device)
    return Job()


def test_on_a_cpu_auto_is_the_whole_batch_and_saved(tmp_path, caplog):
    section = StageSection.model_validate({"loss": SOFTMAX, "batch_size": 8, "micro_batch": "auto"})
    state = make_state(section)
    with caplog.at_level("INFO"):
        memory.with_micro_batch(job(tmp_path), state, None, None)
    assert state.section.micro_batch == 8 and "the whole batch of 8 on a CPU" in caplog.text
    assert json.loads((tmp_path / "choices.json").read_text())["micro_batch"] == 8


def test_auto_is_the_whole_batch_for_a_loss_that_mines_in_it(tmp_path):
    section = {
        "loss": [{"kind": "triplet"}],
        "sampler": {"kind": "pk", "images": 4},
        "micro_batch": "auto",
    }
    state = make_state(StageSection.model_validate({**section, "batch_size": 8}))
    memory.with_micro_batch(job(tmp_path, "cuda", **section), state, None, None)
    assert state.section.micro_batch == 8


SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 4000000000000 bytes."
    ),
    MemoryError("Unable to allocate 3.4 TiB for an array"),
]


@pytest.mark.parametrize("error", SHORTAGES, ids=lambda e: type(e).__name__)
def test_running_out_of_memory_names_the_keys(error, tmp_path):
    with pytest.raises(UserError) as told, shortage_told(job(tmp_path, "cuda")):
        raise error
    assert str(told.value) == (
        "stages.classify: out of memory on the GPU; set grad_checkpointing: true, or lower "
        "micro_batch (now 8; auto finds what fits), batch_size (now 8), image_size"
    )


def test_a_real_shortage_on_a_cpu_and_only_that(tmp_path):
    with pytest.raises(UserError, match="on the computer"), shortage_told(job(tmp_path)):
        torch.empty(2**50)
    with pytest.raises(RuntimeError, match="shapes"), shortage_told(job(tmp_path)):
        raise RuntimeError("shapes do not fit")


def test_the_keys_count_or_not_in_a_stages_hash(tiny_recipe):
    """Recomputing changes nothing of the result; parts of a batch change BatchNorm's statistics."""
    from starter.stages.run import hash_of, inputs_of

    def of(*changes):
        return hash_of(inputs_of(load(tiny_recipe, changes), "classify", "data", None))

    assert of("train.grad_checkpointing=true") == of()
    assert of("train.micro_batch=auto") != of()
    assert of("stages.classify.minutes=5") != of()
    assert of("stages.classify.minutes=5") != of("stages.classify.minutes=6")


def test_peak_memory_is_of_this_process():
    found = memory.peak_gb(torch.device("cpu"))
    assert found is None or 0.05 < found < 100
