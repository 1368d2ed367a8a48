"""Batches: the right images, the same for any number of workers and from any position."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from starter.data.augment.pipeline import Augment, build_augment
from starter.data.batches import TrainBatches, _Maker, eval_batches, resolve_workers
from starter.errors import UserError
from starter.recipe.schema.data import AugmentStep, BalancedSampler, PKSampler, ShuffleSampler

ROOT = Path(__file__).resolve().parents[2]
SIZE = 16
STEPS = [
    AugmentStep.model_validate(d)
    for d in (
        {"kind": "HorizontalFlip", "p": 0.5},
        {"kind": "Affine", "rotate": [-20, 20], "p": 0.5},
        {"kind": "GaussNoise", "p": 0.5},
    )
]

AUGMENT = build_augment(STEPS, SIZE)


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> np.memmap:
    """50 images in a file, as a pack is."""
    path = tmp_path_factory.mktemp("pack") / "images.u8"
    image_NHWC = np.random.default_rng(0).integers(0, 256, (50, SIZE, SIZE, 3), dtype=np.uint8)
    image_NHWC.tofile(path)
    return np.memmap(path, np.uint8, "r", shape=image_NHWC.shape)


LABEL_N = np.arange(50) % 5
INDEX_M = np.arange(3, 47)
SAMPLERS = (
    ShuffleSampler(),
    PKSampler(kind="pk", images=4),
    BalancedSampler(kind="balanced", least=2),
)


def make(pack, **changes) -> TrainBatches:
    options = {
        "batch_size": 8,
        "sampler": ShuffleSampler(),
        "augment": None,
        "seed": 3,
        "workers": 0,
        "pin_memory": False,
    } | changes
    return TrainBatches(pack, LABEL_N, options.pop("index_M", INDEX_M), **options)


def collect(batches: TrainBatches, epoch: int, start: int = 0) -> list[tuple]:
    return [
        (b.image_BHWC.numpy().tobytes(), b.label_B.tolist(), b.index_B.tolist())
        for b in batches.epoch(epoch, start)
    ]


def preparing() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("images")]


def test_batches_hold_the_packed_images_and_their_labels(pack):
    batches = make(pack)
    seen: list[int] = []
    for batch in batches.epoch(0):
        assert batch.image_BHWC.dtype == torch.uint8 and batch.image_BHWC.is_contiguous()
        assert batch.label_B.dtype == batch.index_B.dtype == torch.int64
        np.testing.assert_array_equal(batch.image_BHWC.numpy(), pack[batch.index_B.numpy()])
        np.testing.assert_array_equal(batch.label_B.numpy(), LABEL_N[batch.index_B.numpy()])
        seen += batch.index_B.tolist()
    assert batches.batches_per_epoch == 5 and len(seen) == 40 == len(set(seen))
    assert set(seen) <= set(INDEX_M.tolist())


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
def test_the_slices_of_two_processes_are_the_whole_batch(pack, sampler):
    whole, first, second = (
        collect(make(pack, augment=AUGMENT, sampler=sampler, part=part), 1, 2)
        for part in ((0, 1), (0, 2), (1, 2))
    )
    for all_, a, b in zip(whole, first, second, strict=True):
        assert all_ == tuple(x + y for x, y in zip(a, b, strict=True))
        assert len(a[2]) == len(b[2]) == 4


def test_a_set_that_processes_cannot_share_is_refused(pack):
    with pytest.raises(UserError, match=r"3 processes .* set train.batch_size=6"):
        make(pack, index_M=INDEX_M[:7], part=(0, 3))


def test_augmented_images_depend_on_seed_epoch_and_position_only(pack):
    for number, batch in enumerate(make(pack, augment=AUGMENT).epoch(2)):
        for i, (image_HWC, index) in enumerate(zip(batch.image_BHWC, batch.index_B, strict=True)):
            wanted = AUGMENT(np.array(pack[index]), (3, 2, number * 8 + i))
            np.testing.assert_array_equal(image_HWC.numpy(), wanted)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
def test_an_epoch_begun_later_is_the_tail_of_the_whole(pack, sampler):
    batches = make(pack, sampler=sampler, augment=AUGMENT)
    for epoch in (0, 3):
        whole = collect(batches, epoch)
        for start in range(6):
            again = make(pack, sampler=sampler, augment=AUGMENT)
            assert collect(again, epoch, start) == whole[start:]
    assert collect(batches, 0) != collect(batches, 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_give_the_same_batches(pack, workers):
    wanted = make(pack, augment=AUGMENT)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    batches = make(pack, augment=AUGMENT, workers=workers)
    try:
        assert collect(batches, 0) == collect(wanted, 0)
        stopped = batches.epoch(1)
        next(stopped)
        stopped.close()  # what was under way is thrown away
        assert collect(batches, 1, 2) == collect(wanted, 1, 2)
        assert collect(batches, 2) == collect(wanted, 2)
        processes = batches._loader._iterator._workers
        assert len(processes) == workers and all(p.is_alive() for p in processes)  # the same ones
    finally:
        batches.close()
        gc.collect()
    for process in processes:
        process.join(10)
        assert not process.is_alive()
    assert torch.equal(torch.get_rng_state(), state)


# Colour noise on grey images, not tried out before: what fails only while training.
BROKEN = [AugmentStep.model_validate({"kind": "ISONoise", "p": 1})]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_what_all_processes_are_sent_does_not_end_a_worker(pack, sent):
    """By a terminal, by torchrun; the one that trains still needs its batches."""
    batches = make(pack, augment=AUGMENT, workers=1)
    collect(batches, 0)
    (worker,) = batches._loader._iterator._workers
    os.kill(worker.pid, sent)
    time.sleep(0.2)
    wanted = collect(make(pack, augment=AUGMENT), 1)
    assert collect(batches, 1) == wanted and worker.is_alive()
    batches.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_while_augmenting_reaches_the_caller_in_one_line(workers):
    grey = np.zeros((50, SIZE, SIZE, 1), np.uint8)
    batches = make(grey, augment=Augment(BROKEN, SIZE, 1), workers=workers)
    with pytest.raises(UserError) as raised:
        list(batches.epoch(0))
    processes = batches._loader._iterator._workers if workers else []
    start = time.perf_counter()
    batches.close()
    assert time.perf_counter() - start < 4 and not any(p.is_alive() for p in processes)
    assert str(raised.value).startswith("augment.0 (ISONoise)")
    assert "\n" not in str(raised.value)
    assert preparing() == []


def test_any_other_error_in_the_thread_reaches_the_caller(pack):
    class Failing:
        def batch(self, *task):
            raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(make(pack, augment=Failing()).epoch(0))
    assert preparing() == []


FAULT = """
import numpy as np
from tests.data.test_batches import Augment, STEPS, SIZE, make

if __name__ == "__main__":
    grey = np.zeros((50, SIZE, SIZE, 1), np.uint8)
    list(make(grey, augment=Augment(STEPS, SIZE, 3), workers=1).epoch(0))
"""


def test_a_fault_in_a_worker_ends_the_program(tmp_path):
    """With its traceback, which keeps the loader: its workers hear no SIGTERM."""
    (tmp_path / "fault.py").write_text(FAULT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "fault.py")],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1 and "AssertionError" in done.stderr


def test_an_abandoned_epoch_ends_its_thread(pack):
    iterator = make(pack).epoch(0)
    next(iterator)
    assert len(preparing()) == 1
    iterator.close()
    assert preparing() == []
    for _ in make(pack).epoch(0):
        break
    gc.collect()
    assert preparing() == []


def test_batches_are_fetched_ahead_but_not_far(pack):
    made = []

    class Noting:
        def batch(self, image_BHWC, seed, epoch, position):
            made.extend(position + i for i in range(len(image_BHWC)))

    iterator = make(pack, augment=Noting(), batch_size=4).epoch(0)
    next(iterator)
    for _ in range(200):
        if len(made) >= 16:
            break
        threading.Event().wait(0.01)
    threading.Event().wait(0.05)
    assert len(made) == 16  # one handed out, three ahead
    iterator.close()


def test_a_memory_map_travels_as_its_name(pack):
    maker = _Maker(pack, None, 0, False)
    sent = pickle.dumps(maker)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).image_NHWC, pack)
    part = _Maker(pack[5:9], None, 0, False)  # its file offset is not known: copied
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).image_NHWC, pack[5:9])


def test_small_and_empty_splits(pack):
    (only,) = make(pack, index_M=np.array([4, 9])).epoch(0)
    assert sorted(only.index_B.tolist()) == [4, 9]
    with pytest.raises(UserError, match="no images to train on"):
        make(pack, index_M=np.array([], np.int64))
    with pytest.raises(UserError, match="identities"):
        make(pack, sampler=PKSampler(kind="pk", images=2), batch_size=16)


@pytest.mark.parametrize("count", [0, 1, 8, 11, 44])
def test_eval_batches_show_every_item_once_in_one_shape(pack, count):
    index_M = INDEX_M[::-1][:count]
    seen: list[int] = []
    for index_b, image_BHWC in eval_batches(pack, index_M, 8):
        assert image_BHWC.shape == (8, SIZE, SIZE, 3) and image_BHWC.dtype == torch.uint8
        real = len(index_b)
        np.testing.assert_array_equal(image_BHWC[:real].numpy(), pack[index_b])
        np.testing.assert_array_equal(
            image_BHWC[real:].numpy(), np.repeat(pack[index_b[-1:]], 8 - real, 0)
        )
        seen += index_b.tolist()
    assert seen == index_M.tolist()


def test_resolve_workers():
    assert resolve_workers(3, augmented=False, device_type="cpu") == 3
    assert resolve_workers(0, augmented=True, device_type="cuda") == 0
    assert resolve_workers("auto", augmented=False, device_type="cuda") == 0
    assert resolve_workers("auto", augmented=True, device_type="cpu") == 0
    assert 1 <= resolve_workers("auto", augmented=True, device_type="cuda") <= 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("workers", [0, 2])
def test_pinned_batches_are_the_same(pack, workers):
    batches = make(pack, workers=workers, pin_memory=True, augment=AUGMENT)
    try:
        assert all(b.image_BHWC.is_pinned() for b in batches.epoch(0))
        assert collect(batches, 1) == collect(make(pack, augment=AUGMENT), 1)
    finally:
        batches.close()
