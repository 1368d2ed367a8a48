"""Names of `augment:` and their arguments: the libraries', and those of the user's own file; and
tv/NAME, torchvision's transforms, seeded for every image.
"""

import pickle
import threading

import numpy as np
import pytest
import torch
import torchvision

from starter.data.augment import build_augment, resolve
from starter.data.augment.kinds import library_transforms
from starter.errors import UserError
from starter.recipe import load
from starter.recipe.named import raise_all
from tests.data.augment.agree import picture, steps

STEP = "{kind: HorizontalFlip, p: 0.5}"
OWN = """\
import numpy as np

class Darker:
    def __init__(self, most: float = 0.5):
        self.most = most

    def __call__(self, image_HWC, rng):
        return (image_HWC * (1 - self.most * rng.random())).astype(np.uint8)

class Broken:
    def __call__(self, image_HWC, rng):
        return [][1]

class Nothing(Darker):
    def __call__(self, image_HWC, rng):
        return None

class Refusing:
    def __init__(self, most):
        raise ValueError(f"most is {most}")

def darker(image_HWC, rng):
    return image_HWC
"""


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Loads a recipe with this step in place of another and resolves it; gives its mistakes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aug.py").write_text(OWN)

    def checked(step: str) -> list[str]:
        path = tmp_path / "good.yaml"
        path.write_text(
            "name: good\ndata: {root: somewhere}\naugment:\n"
            f"  - {step}\n"
            "stages: {one: {loss: [{kind: softmax}]}}\n"
        )
        _, problems = resolve(load("good.yaml").augment)
        return [str(p).splitlines()[0] for p in problems]

    return checked


@pytest.mark.parametrize(
    "step",
    [
        "{kind: Affine, rotate: [-10, 10], translate_percent: [-0.05, 0.05], p: 0.5}",
        "{kind: OneOf, p: 1, transforms: [{kind: Blur}, {kind: GaussNoise, p: 1}]}",
        "{kind: tv/RandAugment, num_ops: 2, magnitude: 9}",
        "{kind: OneOf, transforms: [{kind: tv/AugMix}, {kind: Blur}, {kind: aug.py:Darker}]}",
        "{kind: OneOrOther, first: {kind: Blur}, second: {kind: Sequential, "
        "transforms: [{kind: Blur}]}}",
        "{kind: aug.py:Darker}",
        "{kind: aug.py:Darker, most: 0.3, p: 0.5}",
    ],
)
def test_known_transforms(step, check):
    assert check(step) == []


@pytest.mark.parametrize(
    ("step", "place", "path", "hint"),
    [
        ("{kind: HorizontlFlip}", "4:12", "augment.0.kind", "did you mean 'HorizontalFlip'?"),
        ("{kind: BasicTransform}", "4:12", "augment.0.kind", "no such transform"),
        ("{kind: Compose, transforms: []}", "4:12", "augment.0.kind", "no such transform"),
        ("{kind: Lambda}", "4:12", "augment.0.kind", "no such transform"),
        ("{kind: np}", "4:12", "augment.0.kind", "yours path/to/aug.py:Step"),
        ("{kind: RandAugment}", "4:12", "augment.0.kind", "did you mean 'tv/RandAugment'?"),
        ("{kind: tv/RandAugmnt}", "4:12", "augment.0.kind", "did you mean 'tv/RandAugment'?"),
        ("{kind: tv/MixUp}", "4:12", "augment.0.kind", "no such transform"),
        ("{kind: HorizontalFlip, strength: 3}", "4:28", "augment.0.strength", "known here: p"),
        ("{kind: Affine, rotat: 3}", "4:20", "augment.0.rotat", "did you mean 'rotate'? (got 3)"),
        ("{kind: Affine, strict: true}", "4:20", "augment.0.strict", "unknown key"),
        ("{kind: Affine, rotate: much}", "4:28", "augment.0.rotate", "'much'"),
        ("{kind: RandomResizedCrop}", "4:5", "augment.0.size", "is required"),
        ("{kind: HorizontalFlip, p: 2}", "4:31", "augment.0.p", "from 0 to 1 (got 2)"),
        ("{kind: Affine, p: often}", "4:23", "augment.0.p", "from 0 to 1 (got 'often')"),
        ("{kind: tv/RandAugment, magnitud: 9}", "4:28", "augment.0.magnitud", "'magnitude'?"),
        ("{kind: tv/RandAugment, p: 0.5}", "4:28", "augment.0.p", "unknown key"),
        ("{kind: tv/RandomRotation}", "4:5", "augment.0.degrees", "is required"),
        ("{kind: tv/AutoAugment, policy: faces}", "4:5", "augment.0", "'faces'"),
        (
            "{kind: OneOf, transforms: [{kind: Blur}, {kind: Blr}]}",
            "4:53",
            "augment.0.transforms.1.kind",
            "did you mean 'Blur'?",
        ),
        (
            "{kind: OneOrOther, first: {kind: Blur, limit: 3}, second: {kind: Blur}}",
            "4:44",
            "augment.0.first.limit",
            "did you mean 'blur_limit'?",
        ),
        (
            "{kind: OneOf, transforms: [{kind: Blur, p: -1}]}",
            "4:48",
            "augment.0.transforms.0.p",
            "from 0 to 1 (got -1)",
        ),
        ("{kind: OneOf, transforms: []}", "4:31", "augment.0.transforms", "at least one step"),
        ("{kind: OneOf, transforms: [Blur]}", "4:32", "augment.0.transforms.0", "such as {kind:"),
        ("{kind: aug.py:Darkr}", "4:12", "augment.0.kind", "did you mean 'Darker'?"),
        ("{kind: aug.py:darker}", "4:12", "augment.0.kind", "is no class"),
        ("{kind: gone.py:Step}", "4:12", "augment.0.kind", "No such file"),
        ("{kind: aug.py:Darker, moist: 1}", "4:27", "augment.0.moist", "did you mean 'most'?"),
        ("{kind: aug.py:Darker, p: 3}", "4:30", "augment.0.p", "from 0 to 1"),
        ("{kind: aug.py:Refusing, most: 3}", "4:5", "augment.0", "most is 3 (line 20 of aug.py)"),
    ],
    ids=lambda value: value[:45],
)
def test_mistakes_are_told_where_they_are_written(step, place, path, hint, check):
    (line,) = check(step)
    assert line.startswith(f"good.yaml:{place}: {path}: ") and hint in line


def test_every_mistake_is_told(check):
    inside = "[{kind: Blurr}, {kind: Blur, p: 9, limit: 3}]"
    assert len(check(f"{{kind: OneOf, p: 7, transforms: {inside}}}")) == 4


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"kind": "HorizontalFlop"}, ["augment.1.kind", "did you mean 'HorizontalFlip'"]),
        ({"kind": "RandomCrop", "height": 16, "width": 16}, ["makes 16x16x3 of 24x24x3"]),
        ({"kind": "tv/Pad", "padding": 2}, ["augment.1 (tv/Pad)", "makes 28x28x3 of 24x24x3"]),
        ({"kind": "Normalize"}, ["augment.1 (Normalize)", "makes float32", "data.mean"]),
        ({"kind": "ToTensorV2"}, ["augment.1 (ToTensorV2)"]),
        ({"kind": "HistogramMatching"}, ["augment.1 (HistogramMatching)", "hm_metadata"]),
        ({"kind": "aug.py:Nothing"}, ["augment.1 (aug.py:Nothing)", "NoneType"]),
        ({"kind": "aug.py:Broken"}, ["IndexError", "(line 12 of aug.py)"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_only_an_image_shows_names_the_step_in_one_line(described, words, check):
    with pytest.raises(UserError) as raised:
        build_augment(steps({"kind": "HorizontalFlip"}, described), 24)
    assert not [word for word in words if word not in str(raised.value)]
    assert "\n" not in str(raised.value)


def test_an_own_step_draws_from_its_generator(check):
    """For each image anew, alone and inside others; p is the kit's."""
    own = {"kind": "aug.py:Darker", "p": 0.5}
    white_BHWC = np.full((200, 8, 8, 3), 255, np.uint8)
    images = []
    for described in ([own], [{"kind": "OneOf", "p": 1, "transforms": [own]}]):
        for _ in range(2):
            images.append(white_BHWC.copy())
            build_augment(steps(*described), 8).batch(images[-1], 1, 0, 0)
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[2], images[3])
    dark_B = images[0][:, 0, 0, 0]
    assert 0.3 < (dark_B < 255).mean() < 0.7 and len(np.unique(dark_B)) > 40
    assert (images[2] < 255).any((1, 2, 3)).mean() > 0.95  # OneOf takes its one child always


def test_raised_together_they_are_lines():
    _, problems = resolve(steps({"kind": "Blurr"}, {"kind": "HorizontalFlop"}))
    with pytest.raises(UserError) as raised:
        raise_all(problems)
    assert len(str(raised.value).splitlines()) == 2


# ---- torchvision

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


NAMES = {kind.removeprefix("tv/") for kind in library_transforms() if kind.startswith("tv/")}


@pytest.mark.parametrize("name", sorted(NAMES - CHANGE_SIZE))
def test_every_transform_repeats_for_the_same_seed_and_leaves_torch_s_generator(name):
    if name == "GaussianNoise" and torchvision.__version__.startswith("0.21."):
        pytest.skip("takes floats alone in the oldest torchvision that the kit accepts")
    described = steps({"kind": f"tv/{name}", **NEEDED.get(name, {})})
    first, second = (build_augment(described, SIZE) for _ in range(2))
    state = torch.get_rng_state()
    second(picture(SIZE), (4, 4, 4))  # another history
    made = [first(picture(SIZE), (1, 2, i)) for i in range(16)]
    for i in (15, 3):
        np.testing.assert_array_equal(second(picture(SIZE), (1, 2, i)), made[i])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(m.shape == (SIZE, SIZE, 3) and m.dtype == np.uint8 for m in made)
    assert name in STILL or len({m.tobytes() for m in made}) > 1


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize(
    "step",
    [
        {"kind": "tv/RandAugment", "num_ops": 2, "magnitude": 9},
        {"kind": "tv/TrivialAugmentWide"},
    ],
    ids=lambda step: step["kind"],
)
def test_the_policies_people_look_for_first_vary_a_batch_in_place(step, channels):
    augment = build_augment(steps(step), SIZE, channels)
    pictures = np.stack([picture(SIZE)[..., :channels] for _ in range(24)])
    image_BHWC = pictures.copy()
    augment.batch(image_BHWC, 1, 0, 0)
    assert image_BHWC.shape == (24, SIZE, SIZE, channels) and image_BHWC.dtype == np.uint8
    assert (image_BHWC != pictures).any(axis=(1, 2, 3)).sum() > 12
    for i in (3, 20):
        alone = augment(picture(SIZE)[..., :channels], (1, 0, i))
        np.testing.assert_array_equal(image_BHWC[i], alone)


def test_dropout_in_another_thread_does_not_disturb_it():
    augment = build_augment(steps({"kind": "tv/RandAugment"}), SIZE)
    wanted = [augment(picture(SIZE), (1, 0, i)) for i in range(30)]
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            torch.rand(8)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        made = [augment(picture(SIZE), (1, 0, i)) for i in range(30)]
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
    made = [augment(picture(SIZE), (1, 0, i)) for i in range(10)]
    np.testing.assert_array_equal(made, [copy(picture(SIZE), (1, 0, i)) for i in range(10)])
    assert all((m == 7).all(2).any() for m in made)


def test_grey_images_and_words_for_members():
    described = steps(
        {"kind": "tv/RandomRotation", "degrees": 20, "interpolation": "bilinear"},
        {"kind": "tv/AutoAugment", "policy": "cifar10"},
    )
    made = build_augment(described, SIZE, channels=1)(picture(SIZE, 1), (1, 0, 0))
    assert made.shape == (SIZE, SIZE, 1)
