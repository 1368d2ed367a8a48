"""A DeviceSource brings the same images whether they stay on the device or not."""

import numpy as np
import pytest
import torch

from starter.data.augment import DeviceSource
from starter.data.augment.plan import plan
from starter.data.augment.source import RESIDENT_SHARE, may_stay
from starter.data.batches import TrainBatches
from starter.recipe.schema.data import PKSampler, ShuffleSampler

from .agree import steps

SIZE, CPU = 16, torch.device("cpu")
PACK = np.random.default_rng(0).integers(0, 256, (50, SIZE, SIZE, 3), dtype=np.uint8)
LABEL_N, INDEX_M = np.arange(50) % 5, np.arange(49, 5, -1)
ENTRIES = steps({"kind": "HorizontalFlip"}, {"kind": "Affine", "rotate": [-20, 20]})


def make(free: int | None, augmented: bool, sampler=None, batch_size: int = 8) -> TrainBatches:
    augment = plan(ENTRIES, SIZE, 3) if augmented else None
    source = DeviceSource(PACK, INDEX_M, augment, CPU, free)
    return TrainBatches(
        PACK,
        LABEL_N,
        INDEX_M,
        batch_size=batch_size,
        sampler=sampler or ShuffleSampler(),
        augment=None,
        seed=3,
        workers=2,
        pin_memory=False,
        on_device=source,
    )


def collect(batches: TrainBatches, epoch: int, start: int = 0) -> list:
    return [
        (b.image_BHWC.numpy().tobytes(), b.label_B.tolist(), b.index_B.tolist())
        for b in batches.epoch(epoch, start)
    ]


def test_what_may_stay_is_decided_by_the_memory_that_is_free():
    assert may_stay(100, int(100 / RESIDENT_SHARE)) and not may_stay(101, 200)
    assert not may_stay(1, None)
    needed = len(INDEX_M) * SIZE * SIZE * 3
    assert DeviceSource(PACK, INDEX_M, None, CPU, 2 * needed).resident
    assert not DeviceSource(PACK, INDEX_M, None, CPU, 2 * needed - 2).resident
    assert not DeviceSource(PACK, INDEX_M, None, CPU).resident  # what a CPU's free memory is


def test_the_log_says_where_the_images_are(caplog):
    caplog.set_level("INFO")
    DeviceSource(PACK, INDEX_M, None, CPU, 10**9)
    assert "44 training images" in caplog.text and "they stay there" in caplog.text
    DeviceSource(PACK, INDEX_M, None, CPU, 10)
    assert "copied batch by batch" in caplog.text


@pytest.mark.parametrize(
    "sampler", [ShuffleSampler(), PKSampler(kind="pk", images=2)], ids=["shuffle", "pk"]
)
@pytest.mark.parametrize("augmented", [False, True])
def test_images_that_stay_are_those_that_are_copied(augmented, sampler):
    staying, copied = make(10**9, augmented, sampler), make(0, augmented, sampler)
    source = staying._on_device
    for epoch in range(3):
        assert collect(staying, epoch) == collect(copied, epoch)
    assert source._there_M.mean() > 0.8  # nearly all have come by
    gathered = sum(source.stage(t, 3, 9, 0).image_BHWC is None for t in np.split(INDEX_M, 11))
    assert gathered > 5  # these batches are not gathered on the host again
    assert collect(staying, 1, 2) == collect(copied, 1)[2:]


def test_without_augmentation_they_are_the_packed_images():
    batches = make(10**9, False)
    for epoch in (0, 1):
        for batch in batches.epoch(epoch):
            np.testing.assert_array_equal(batch.image_BHWC.numpy(), PACK[batch.index_B.numpy()])


def test_what_an_image_gets_follows_its_position_in_the_epoch():
    augment = plan(ENTRIES, SIZE, 3)
    for number, batch in enumerate(make(None, True).epoch(2)):
        images = torch.from_numpy(PACK[batch.index_B.numpy()])
        parcel = augment.prepare(3, 2, number * 8 + np.arange(8))
        assert torch.equal(batch.image_BHWC, augment.apply(images, parcel))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("free", [0, 10**9])
def test_on_a_gpu_they_are_the_same(free):
    source = DeviceSource(PACK, INDEX_M, None, torch.device("cuda"), free)
    for epoch in range(3):
        for start in range(0, 40, 8):
            index_B = INDEX_M[start : start + 8]
            made = source.finish(source.stage(index_B, 3, epoch, start))
            np.testing.assert_array_equal(made.cpu().numpy(), PACK[index_B])
