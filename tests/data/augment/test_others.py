"""tv/NAME: torchvision's transforms, seeded for every image, strict about their arguments."""

import pickle
import threading

import numpy as np
import pytest
import torch
import torchvision

from starter.data.augment import build_augment
from starter.data.augment.kinds import library_transforms
from tests.data.augment.agree import steps

SIZE = 24
NEEDED = {
    "CenterCrop": {"size": SIZE},
    "RandomCrop": {"size": SIZE, "padding": 4},
    "RandomResizedCrop": {"size": SIZE},
    "Resize": {"size": [SIZE, SIZE]},
    "RandomRotation": {"degrees": 10},
    "RandomAffine": {"degrees": 10},
    "RandomPosterize": {"bits": 3},
    "RandomSolarize": {"threshold": 128},
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "GaussianBlur": {"kernel_size": 3},
    "JPEG": {"quality": [20, 90]},
    "ColorJitter": {"brightness": 0.5, "hue": 0.1},
    "Grayscale": {"num_output_channels": 3},
}
CHANGE_SIZE = {"Pad", "RandomZoomOut"}
STILL = {"CenterCrop", "Grayscale", "RGB", "Resize"}  # draw nothing


def image(channels: int = 3) -> np.ndarray:
    shape = (SIZE, SIZE, channels)
    return np.random.default_rng(0).integers(30, 220, shape, dtype=np.uint8)


NAMES = {kind.removeprefix("tv/") for kind in library_transforms() if kind.startswith("tv/")}


@pytest.mark.parametrize("name", sorted(NAMES - CHANGE_SIZE))
def test_every_transform_repeats_for_the_same_seed_and_leaves_torch_s_generator(name):
    if name == "GaussianNoise" and torchvision.__version__.startswith("0.21."):
        pytest.skip("takes floats alone in the oldest torchvision that the kit accepts")
    described = steps({"kind": f"tv/{name}", **NEEDED.get(name, {})})
    first, second = (build_augment(described, SIZE) for _ in range(2))
    state = torch.get_rng_state()
    second(image(), (4, 4, 4))  # another history
    made = [first(image(), (1, 2, i)) for i in range(16)]
    for i in (15, 3):
        np.testing.assert_array_equal(second(image(), (1, 2, i)), made[i])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(m.shape == (SIZE, SIZE, 3) and m.dtype == np.uint8 for m in made)
    assert name in STILL or len({m.tobytes() for m in made}) > 1


def test_dropout_in_another_thread_does_not_disturb_it():
    augment = build_augment(steps({"kind": "tv/RandAugment"}), SIZE)
    wanted = [augment(image(), (1, 0, i)) for i in range(30)]
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            torch.rand(8)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        made = [augment(image(), (1, 0, i)) for i in range(30)]
    finally:
        stop.set()
        thread.join()
    np.testing.assert_array_equal(wanted, made)


def test_beside_and_inside_albumentations_transforms():
    inside = [{"kind": "tv/RandAugment", "num_ops": 2, "magnitude": 9}, {"kind": "Blur"}]
    described = steps(
        {"kind": "HorizontalFlip"},
        {"kind": "OneOf", "p": 1, "transforms": inside},
        {"kind": "tv/RandomErasing", "p": 1, "value": 7},
    )
    augment = build_augment(described, SIZE)
    copy = pickle.loads(pickle.dumps(augment))
    made = [augment(image(), (1, 0, i)) for i in range(10)]
    np.testing.assert_array_equal(made, [copy(image(), (1, 0, i)) for i in range(10)])
    assert all((m == 7).all(2).any() for m in made)


def test_grey_images_and_words_for_members():
    described = steps(
        {"kind": "tv/RandomRotation", "degrees": 20, "interpolation": "bilinear"},
        {"kind": "tv/AutoAugment", "policy": "cifar10"},
    )
    made = build_augment(described, SIZE, channels=1)(image(1), (1, 0, 0))
    assert made.shape == (SIZE, SIZE, 1)
